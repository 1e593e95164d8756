"""Counts what a program says to its database, by SQLAlchemy's own events: nothing can be said past them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import Factory, define
from sqlalchemy import event

from reconciler.store.store import Store

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
READS = ("load", "places")  # of the store: what every pass reads, however many submissions there are


@define
class Statements:
    """How often each statement ran, by its text. One statement with many rows of values is one."""

    by_text: Counter[str] = Factory(Counter)
    listening: bool = True

    @property
    def all(self) -> int:
        """Every statement."""
        return self.by_text.total()

    @property
    def writes(self) -> int:
        """Those that change rows."""
        return sum(count for text, count in self.by_text.items() if text.lstrip().upper().startswith(WRITES))

    def clear(self) -> None:
        """Count from nothing again."""
        self.by_text.clear()


@contextmanager
def counted(store: Store) -> Iterator[Statements]:
    """Counts the statements of a store while it lasts."""
    seen = Statements()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if seen.listening:
            seen.by_text[statement] += 1

    engine = store.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def without_reads_of_passes(store: Store, seen: Statements) -> Iterator[None]:
    """While it lasts, what passes read is left out. Store calls of a loop never overlap, so this leaves out no more."""
    for name in READS:
        setattr(store, name, _unheard(getattr(store, name), seen))
    try:
        yield
    finally:
        for name in READS:
            delattr(store, name)


def _unheard(call: Callable[..., Any], seen: Statements) -> Callable[..., Any]:
    def quietly(*args: Any, **kwargs: Any) -> Any:
        seen.listening = False
        try:
            return call(*args, **kwargs)
        finally:
            seen.listening = True

    return quietly
