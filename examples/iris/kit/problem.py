"""The kit's problem: tell three species of iris apart by the sizes of their leaves.

This is the file that RAMP asks for: what is predicted, how submissions are trained, scored and cross-validated, and
where the data come from. The data are Fisher's, as scikit-learn has them: 105 flowers to learn from, 45 to be tested.
"""

from pathlib import Path

import pandas as pd
import rampwf as rw
from sklearn.model_selection import StratifiedShuffleSplit

problem_title = "Iris classification"
SPECIES = ["setosa", "versicolor", "virginica"]

Predictions = rw.prediction_types.make_multiclass(label_names=SPECIES)
workflow = rw.workflows.Estimator()
score_types = [
    rw.score_types.Accuracy(name="acc"),
    rw.score_types.NegativeLogLikelihood(name="nll"),
]


def get_cv(x, y):
    """The folds: three random splits, the same for every submission."""
    return StratifiedShuffleSplit(n_splits=3, test_size=0.25, random_state=57).split(x, y)


def get_train_data(path="."):
    """Features and species to learn from."""
    return _read(path, "train.csv")


def get_test_data(path="."):
    """Features and species that no submission learns from."""
    return _read(path, "test.csv")


def _read(path, name):
    data = pd.read_csv(Path(path) / "data" / name)
    return data.drop(columns="species"), data["species"].to_numpy()
