"""What history tells of each change: pure, from a step to its rows of history.

History replays to state, reason and bindings (replay.py), so whatever is told here may change in a transition only.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from reconciler.model.change import Insert, Step, Update
from reconciler.store.tables import LIFECYCLES

BIRTH = "birth"

# The columns that history tells of a transition …
TOLD: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "instances": frozenset({"cloud_id", "address", "boot_id", "host_key"}),
        "submissions": frozenset({"attempt_id", "attempts", "message", "spent"}),
        "deliveries": frozenset(),
    }
)
# … what it tells with it of the submission's attempt, which has no history of its own …
TOLD_OF_ATTEMPT = frozenset({"instance_id", "started", "ended", "outcome", "exit_code", "peak_memory", "results"})
# … and of a birth. They never change afterwards.
BORN_WITH: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "instances": frozenset({"pool", "type", "market", "zone", "token", "index", "adopted"}),
        "submissions": frozenset({"name", "label", "pool", "priority", "content", "retry_of"}),
        "deliveries": frozenset({"submission_id", "attempt_id", "event", "sink"}),
    }
)

# What a note, which is not history, may therefore never set.
_KEPT = frozenset({"id", "version", "state", "since", "reason"})


def check(update: Update) -> None:
    """Raise ValueError for an update that no lifecycle allows: a bug in whoever decided it."""
    table = LIFECYCLES.get(update.table)
    where = f"{update.table}/{update.id}"
    if table is None or not update.event:
        told = _KEPT | TOLD[update.table] if table else frozenset({"id", "version"})
        if update.event or told & update.sets.keys():
            raise ValueError(f"{where}: not a transition, and yet it would change {sorted(told & update.sets.keys())}")
    elif not any(edge.target == update.target for edge in table.edges_from(update.source, update.event)):
        raise ValueError(f"{where}: no edge leads from {update.source} by {update.event} to {update.target}")
    if (update.version is None) != (update.table == "attempts"):
        raise ValueError(f"{where}: guarded by version {update.version}")


def bindings(step: Step) -> Mapping[tuple[str, str], dict[str, Any]]:
    """(table, id) → what history tells of that row's transition in this step.

    Raises ValueError where an attempt changes without a transition of its submission: nothing would tell of it.
    """
    told: dict[tuple[str, str], dict[str, Any]] = {}
    of_attempt: dict[str, Any] = {}
    for write in step.writes:
        if isinstance(write, Update) and write.event:
            told[write.table, write.id] = _only(TOLD.get(write.table, frozenset()), write.sets)
        elif isinstance(write, Update) and write.table == "attempts":
            of_attempt |= _only(TOLD_OF_ATTEMPT, write.sets)
        elif isinstance(write, Insert) and write.table == "attempts":
            of_attempt["instance_id"] = write.row.instance_id
    owners = [key for key in told if key[0] == "submissions"]
    if len(owners) == 1:
        told[owners[0]] |= of_attempt
    elif owners or any(isinstance(write, Update) and write.table == "attempts" for write in step.writes):
        raise ValueError(f"an attempt changes together with {len(owners)} submissions: {step.why}")
    return told


def birth(insert: Insert) -> dict[str, Any]:
    """What history tells of a new row: what it is, and what it came with already."""
    row = insert.row
    given = {name: getattr(row, name) for name in BORN_WITH[insert.table]}
    given |= {name: value for name in {*TOLD[insert.table], "reason"} if (value := getattr(row, name))}
    return given


def text_of(told: Mapping[str, Any]) -> str:
    """Bindings as history keeps them."""
    return json.dumps({name: storable(value) for name, value in told.items()}, sort_keys=True, separators=(",", ":"))


def storable(value: Any) -> Any:
    """Text as every database takes it: what a job or a file name brought along must not stop a pass."""
    if not isinstance(value, str):
        return value
    if value.isascii() and "\0" not in value:
        return str(value)  # of an enumeration its value
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")


def _only(names: frozenset[str], sets: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sets.items() if name in names}
