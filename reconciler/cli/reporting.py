"""The log, as the command prints it: on standard error, one line a record, nothing in it that a terminal obeys."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from reconciler.cli.printing import clock, plain, plain_lines


class Lines(logging.Handler):
    """Writes records to whatever standard error is now: a live display may stand in for it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; a story of where it was raised goes on below it."""
        try:
            text = f"{clock(record.created)} {record.levelname.lower()}: {plain(record.getMessage())}"
            if record.exc_info:
                text += "\n" + plain_lines(logging.Formatter().formatException(record.exc_info))
            click.echo(text, err=True)
        except Exception:
            self.handleError(record)


@contextmanager
def printed_log(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """While it lasts: errors always, warnings unless quiet, all of our own if verbose."""
    log, lines = logging.getLogger("reconciler"), Lines()
    before = log.level
    log.addHandler(lines)
    log.setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.setLevel(before)
