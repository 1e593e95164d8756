"""RAMP's files as the source of a running deployment's pools: read again when they are edited, as our own are.

A wrong edit is told, and leaves the last good pool in force. The rest of the config counts from the next start on.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from attrs import define, evolve, field

from reconciler.compat.ramp_config import RampDeployment, read
from reconciler.decide.case import Desired, PoolWish
from reconciler.source import wish
from reconciler.spec.errors import SpecError
from reconciler.spec.values import Config

log = logging.getLogger(__name__)

_Signature = tuple[tuple[int, int, int], ...]


def _again(deployment: RampDeployment) -> RampDeployment:
    """The same event from the same files."""
    return read(*deployment.files, event=deployment.event)


@define(kw_only=True)
class RampSpecs:
    """The pools of one event. Raises OSError, when it is made, for a file that is gone since it was read."""

    deployment: RampDeployment
    again: Callable[[RampDeployment], RampDeployment] = _again
    config: Config = field(init=False)
    _wishes: dict[str, PoolWish] = field(init=False)
    _seen: _Signature = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.config = self.deployment.config
        self._seen = _signature(self.deployment.files)
        self._wishes = {pool.pool: wish(pool) for pool in self.deployment.pools}

    def desired(self) -> Desired:
        """The last good spec of each pool."""
        try:
            now = _signature(self.deployment.files)
        except OSError as error:
            log.warning("%s: %s: the pools stay as they were", error.filename, error.strerror)
            now = self._seen
        if now != self._seen:
            self._seen = now
            self._read()
        return Desired(config=self.config, pools=dict(self._wishes), complete=True)

    def _read(self) -> None:
        try:
            fresh = self.again(self.deployment)
        except SpecError as error:
            for problem in error.problems:
                log.warning("%s", problem)
            why = "; ".join(map(str, error.problems))
            self._wishes = {name: evolve(old, problem=why) for name, old in self._wishes.items()}
            return
        if fresh.environ != self.deployment.environ or fresh.config != self.config:
            log.warning("%s: secrets and all but the machines count from the next start on", self.config.source)
        self._wishes = {pool.pool: wish(pool) for pool in fresh.pools}


def _signature(files: tuple[Path, ...]) -> _Signature:
    """What tells one state of some files from another, without reading them. Raises OSError."""
    stats = [file.stat() for file in files]
    return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
