"""A submission with a mistake in it, to show how a failure is told."""

from sklearn.base import BaseEstimator, ClassifierMixin


class Hasty(ClassifierMixin, BaseEstimator):
    """Counts the features before it looks at them."""

    def fit(self, x, y):
        """Raises: the flowers have four measures."""
        self.classes_ = sorted(set(y))
        if x.shape[1] != 5:
            raise ValueError(f"expected 5 features, and the flowers have {x.shape[1]}")
        return self


def get_estimator():
    """What RAMP trains on each fold."""
    return Hasty()
