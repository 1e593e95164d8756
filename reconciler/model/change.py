"""What a pass decides, as data: the store applies it, a dry run prints it, the simulation checks it."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class Update:
    """A guarded write: it applies only while the row is at `version`. With an event it is a transition, and history.

    `table` is submissions, instances, deliveries, pools or attempts. An attempt has no version of its own: it is
    written together with its submission, whose guard holds for both.
    """

    table: str
    id: str
    version: int | None
    sets: Mapping[str, Any] = field(factory=dict)
    event: str = ""  # empty: a note (strikes, backoff, a bumped version), which is not history
    source: str = ""
    target: str = ""


@frozen(kw_only=True)
class Insert:
    """A new row. `births` are of a lifecycle, and history; a row that is there already makes its step stale."""

    table: str
    row: Any  # a value of model.rows
    why: str = ""  # the reason that history tells of a birth


@frozen
class Replace:
    """A fact that is overwritten whole, and is not history: a hold, a stranger."""

    table: str
    row: Any


@frozen
class Delete:
    """A fact that lapsed: a hold, a stranger."""

    table: str
    row: Any


Write = Update | Insert | Replace | Delete


@frozen
class Step:
    """Writes that apply together or not at all."""

    writes: tuple[Write, ...]
    why: str = ""  # for people: the line that a dry run prints
