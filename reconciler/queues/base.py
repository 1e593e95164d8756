"""What the rest of the program asks of a queue that it reads. (The table needs no reading: it is in the database.)"""

from typing import Protocol

from attrs import frozen

from reconciler.spec.values import SubmissionOptions


@frozen(kw_only=True)
class Entry:
    """One submission as its queue holds it now."""

    key: str  # what the queue calls it; stays the same while its content changes
    name: str
    content: str  # its folder in the store by content; empty where it is not valid
    options: SubmissionOptions
    problem: str = ""  # why it can never run
    renewed: bool = False  # the queue asks for it, also where an earlier one of the same content has ended


@frozen(kw_only=True)
class Reading:
    """What one look at a queue found. Only a good reading says anything about what is missing from it."""

    queue: str
    entries: tuple[Entry, ...] = ()
    good: bool = True
    error: str = ""
    unsettled: frozenset[str] = frozenset()  # keys of what is still being written: there, and to be looked at soon
    missing_ends: bool = False  # what is gone from it is cancelled wherever it stands, and not only while it waits


class Queue(Protocol):
    """One source of submissions."""

    name: str

    async def read(self) -> Reading:
        """Everything that the queue holds now, copied into the store by content."""
        ...
