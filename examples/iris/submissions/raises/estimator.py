"""A submission with a mistake in it, to show how a failure is told."""

from sklearn.base import BaseEstimator, ClassifierMixin


class Hasty(ClassifierMixin, BaseEstimator):
    """Counts the features before it looks at them."""

    def fit(self, X, y):
        """Raises: the flowers have four measures."""
        if X.shape[1] != 5:
            raise ValueError(f"expected 5 features, and the flowers have {X.shape[1]}")
        return self


def get_estimator():
    """What RAMP trains on each fold."""
    return Hasty()
