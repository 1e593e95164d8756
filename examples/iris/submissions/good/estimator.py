"""The fifteen flowers that are most like it say what a flower is."""

from sklearn.neighbors import KNeighborsClassifier


def get_estimator():
    """What RAMP trains on each fold."""
    return KNeighborsClassifier(n_neighbors=15)
