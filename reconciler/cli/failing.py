"""What goes wrong, as people are told it: which exit status, and one clear message for each thing, never a traceback.

0 settled, 1 the reconciler could not do its work, 2 wrong usage or configuration, 3 work still in flight or set aside.
"""

import errno
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from reconciler.cli.printing import plain, plain_lines

SETTLED, FAILED, USAGE, UNSETTLED = 0, 1, 2, 3

log = logging.getLogger(__name__)


class Stop(click.ClickException):
    """Ends the command with a status and its messages, one a line, on standard error."""

    def __init__(self, status: int, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.exit_code = status  # type: ignore[misc]  # click reads it of the instance
        self.messages: Sequence[str] = messages

    def show(self, file: object = None) -> None:  # noqa: ARG002  (click's own signature)
        """Print the messages on standard error."""
        for message in self.messages:
            click.echo(plain_lines(message), err=True)


@contextmanager
def told() -> Iterator[None]:
    """Turn what the program's parts raise into a message and an exit status."""
    try:
        yield
    except (click.exceptions.Exit, click.ClickException, click.Abort):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:  # whoever read us has had enough
            raise
        raise stop(error) from error


def stop(error: Exception) -> Stop:
    """The message and the status of an exception. What nobody foresaw says so, and how to learn more."""
    for kind, status in _known_errors():
        if isinstance(error, kind):
            return Stop(_usage(error, status), str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Stop(FAILED, f"{where}{error.strerror or error}")
    if isinstance(error, ExceptionGroup):
        return stop(error.exceptions[0])
    log.info("a fault of the reconciler itself", exc_info=error)
    message = f"a fault of the reconciler itself: {type(error).__name__}: {plain(error)}"
    return Stop(FAILED, f"{message}\nsay `reconcile --verbose …` for the whole story, and please report it")


def _known_errors() -> tuple[tuple[type[Exception], int], ...]:
    """The errors of the parts that were imported, and their statuses; what is not imported cannot have been raised."""
    known = (
        ("reconciler.spec.errors", "SpecError", USAGE),
        ("reconciler.store.errors", "StoreError", FAILED),
        ("reconciler.queues.content", "InvalidSubmissionError", USAGE),
        ("reconciler.api", "RequestError", USAGE),
        ("reconciler.hosts.base", "UnreachableError", FAILED),
        ("reconciler.hosts.base", "HostRefusedError", FAILED),
        ("reconciler.clouds.base", "CloudError", FAILED),
    )
    return tuple(
        (getattr(sys.modules[module], name), status)
        for module, name, status in known
        if hasattr(sys.modules.get(module), name)
    )


def _usage(error: Exception, status: int) -> int:
    return USAGE if getattr(error, "usage", False) else status
