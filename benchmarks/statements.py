"""Counts what a program says to its database, by SQLAlchemy's own events: nothing can be said past them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import Factory, define
from sqlalchemy import event

from reconciler.store.store import Store

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@define
class Statements:
    """How often each statement ran, by its text, and what begins and ends transactions apart from that."""

    by_text: Counter[str] = Factory(Counter)

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
    """Counts the statements of a store while it lasts. One statement with many rows of values is one."""
    seen = Statements()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.by_text[statement] += 1

    engine = store.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def unread(store: Store, seen: Statements) -> Iterator[None]:
    """While it lasts, a pass's own read of the database is left out of the count."""
    load = store.load

    def quietly(*args: Any, **kwargs: Any) -> Recorded:
        before = seen.by_text.copy()
        try:
            return load(*args, **kwargs)
        finally:
            seen.by_text = before

    store.load = quietly  # type: ignore[method-assign]
    try:
        yield
    finally:
        del store.load
