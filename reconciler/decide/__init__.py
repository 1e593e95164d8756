"""Decisions: what is recorded, observed and desired, to the steps that bring them together. Pure, every line of it."""

from reconciler.decide.case import Case, Decision, Desired, PoolWish
from reconciler.decide.decide import decide

__all__ = ["Case", "Decision", "Desired", "PoolWish", "decide"]
