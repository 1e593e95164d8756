"""Which pool a submission goes to. Pure."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from reconciler.spec.values import Route


def pool_of(routes: Sequence[Route], team: str, name: str) -> str:
    """The pool that the first fitting route names; empty for the event's own."""
    for route in routes:
        fits = not route.name or fnmatchcase(name, route.name.replace("[", "[[]"))  # * and ? alone stand for anything
        if fits and route.team in ("", team):
            return route.pool
    return ""
