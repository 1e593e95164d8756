"""The checks of `doctor` for an event of a RAMP database: the database, and the folders on this computer."""

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from reconciler.cli.checks import OK, PROBLEM, UNKNOWN, Found, writable
from reconciler.rampdb.access import Ramp
from reconciler.rampdb.leaderboards import what_is_missing
from reconciler.rampdb.looking import Look, look
from reconciler.spec.values import RampEvent
from reconciler.store.errors import StoreError, code_of, name_of

_PATIENCE = 5.0  # seconds to wait for a lock of RAMP's own programs
_DENIED = ("42501", "SQLITE_PERM", "SQLITE_AUTH")  # insufficient_privilege (PostgreSQL, appendix A), and SQLite's


def of_event(name: str, event: RampEvent) -> Iterator[Found]:
    """Every check; those that need the database's word are left out where it says none. `name` is the queue's."""
    ramp: Ramp | None = None
    try:
        ramp = Ramp.open(event, patience=_PATIENCE)
        seen = look(ramp)
    except StoreError as error:
        denied = error.__cause__ is not None and code_of(error.__cause__).startswith(_DENIED)
        yield Found(f"{name}: database", UNKNOWN if denied else PROBLEM, str(error), usage=error.usage)
    else:
        yield Found(f"{name}: database", OK, f"{name_of(ramp.database.url)}: event {event.event}, {seen.new} new")
        yield _writing(name, seen)
        yield from _each(
            (f"{name}: submissions", partial(_readable, place=seen.event.submissions)),
            (f"{name}: leaderboards", partial(_leaderboards, problem=seen.kit / "problem.py")),
        )
    finally:
        if ramp is not None:
            ramp.close()
    folders = (("logs", event.logs), ("predictions", event.predictions))
    yield from _each(*((f"{name}: {what}", partial(writable, folder=place)) for what, place in folders if place))


def _each(*checks: tuple[str, Callable[[str], Found]]) -> Iterator[Found]:
    """One that is denied the look says so, and keeps none of the others from theirs."""
    for check, made in checks:
        try:
            yield made(check)
        except OSError as error:
            yield Found(check, UNKNOWN, f"{error.filename or ''} {error.strerror}".strip())


def _writing(name: str, seen: Look) -> Found:
    if not seen.read_only:
        return Found(f"{name}: writing", OK, "states and scores can be written back")
    places = ", ".join(seen.read_only)
    return Found(f"{name}: writing", PROBLEM, f"{places} cannot be written: grant it, as to RAMP's own dispatcher")


def _leaderboards(check: str, *, problem: Path) -> Found:
    if missing := what_is_missing():
        return Found(check, PROBLEM, missing)
    return _readable(check, place=problem)


def _readable(check: str, *, place: Path) -> Found:
    """Raises OSError where the look itself is denied."""
    try:
        is_folder = stat.S_ISDIR(place.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return Found(check, PROBLEM, f"{place} is not there, and RAMP's database names it: mount it, or mend the path")
    if os.access(place, os.R_OK | (os.X_OK if is_folder else 0)):
        return Found(check, OK, str(place))
    return Found(check, PROBLEM, f"{place} cannot be read: change its owner or mode")
