"""Copies where RAMP looks for them: `<logs>/<basename>/log`, and `<predictions>/<basename>/fold_<i>`.

The place is ramp_engine/local.py's (CondaEnvWorker.collect_results). Copies are made beside their place and renamed
into it, so that whoever looks sees the old ones or the new ones, whole.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from reconciler.spec.values import RampEvent


@frozen
class Staged:
    """Copies that wait beside their places."""

    log: Path | None
    predictions: Path | None


@frozen
class Folders:
    """The folders of one event; None is nowhere."""

    logs: Path | None
    predictions: Path | None

    @classmethod
    def of(cls, event: RampEvent) -> "Folders":
        """As config.yml has them."""
        return cls(event.logs, event.predictions)

    @contextmanager
    def staged(self, basename: str, log: Path | None, predictions: Path | None) -> Iterator[Staged]:
        """Copy, and clean up what was not put in its place. Raises OSError."""
        mark = f".{basename}.{secrets.token_hex(4)}"
        of_log = self.logs / mark if self.logs and log and log.is_file() else None
        of_predictions = self.predictions / mark if self.predictions and predictions else None
        try:
            if of_log and log:
                of_log.mkdir(parents=True)
                shutil.copyfile(log, of_log / "log")
            if of_predictions and predictions:
                of_predictions.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(predictions, of_predictions)
            yield Staged(of_log, of_predictions)
        finally:
            for each in (of_log, of_predictions):
                if each:
                    shutil.rmtree(each, ignore_errors=True)

    def put(self, basename: str, staged: Staged) -> None:
        """Put copies in their places. Predictions of an earlier training go, as in RAMP. Raises OSError."""
        if self.logs and staged.log:
            place = self.logs / basename
            place.mkdir(exist_ok=True)
            (staged.log / "log").replace(place / "log")
        if self.predictions:
            place = self.predictions / basename
            if place.exists():
                old = self.predictions / f".{basename}.{secrets.token_hex(4)}.old"
                place.rename(old)
                shutil.rmtree(old, ignore_errors=True)
            if staged.predictions:
                staged.predictions.rename(place)
