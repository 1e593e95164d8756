"""Plays history back: what the rows of history of one row say that it is now. Pure; tests hold it against the rows."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from reconciler.model.rows import Event
from reconciler.store.telling import BIRTH, TOLD_OF_ATTEMPT


@frozen
class Replayed:
    """A row as its history tells it. `bindings` of a submission include those of its latest attempt."""

    state: str
    reason: str
    version: int  # after its last transition; notes since then may have raised it
    bindings: Mapping[str, Any]


def replay(events: Iterable[Event]) -> Replayed | None:
    """Where one row's history, in order, leads; None for no history.

    Raises ValueError where it does not hang together: no birth, two births, or a transition from another state.
    """
    state, reason, version = "", "", 0
    known: dict[str, Any] = {}
    for event in events:
        if (event.event == BIRTH) != (state == "") or event.source != state:
            raise ValueError(f"history {event.seq}: {event.event} from {event.source!r}, but the state is {state!r}")
        news = json.loads(event.bindings)
        if "attempt_id" in news:
            known = {name: value for name, value in known.items() if name not in TOLD_OF_ATTEMPT}
        # A birth's reason says why the row came to be; the row itself seldom starts with one.
        reason = news.pop("reason", "") if event.event == BIRTH else event.reason
        known |= news
        state, version = event.target, event.version
    return Replayed(state, reason, version, known) if state else None
