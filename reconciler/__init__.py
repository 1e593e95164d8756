"""Machines and submissions as state machines in a database, and a loop that makes them so."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.api import submit

__all__ = ["submit"]


def __getattr__(name: str) -> Any:
    """`reconciler.submit`, without importing a database for those who only want `--help`."""
    if name == "submit":
        from reconciler.api import submit

        return submit
    raise AttributeError(f"module 'reconciler' has no attribute {name!r}")
