"""`read_backend_config`: RAMP's config file as the dictionary that rampbkd's functions take."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from reconciler.api import RequestError
from reconciler.compat.ramp_config import RampDeployment, read
from reconciler.compat.ramp_file import read_file

_WORKERS = ("aws", "worker")


class BackendConfig(dict[str, Any]):
    """A file's sections by name, or the section `aws` or `worker` itself: the functions take either.

    It knows the deployment that was read with it, which is what counts; a changed copy is refused, not half obeyed.
    """

    def __init__(self, values: Mapping[str, Any], deployment: RampDeployment) -> None:
        super().__init__(values)
        self._deployment = deployment
        self._said = _text(values)

    @property
    def deployment(self) -> RampDeployment:
        """The event, as ours. Raises RequestError where a value was changed since it was read."""
        if _text(self) != self._said:
            raise RequestError(
                f"the config of {self._deployment.config.source} was changed after it was read: write what you want"
                " into a file of its own, and read that"
            )
        return self._deployment


def read_backend_config(*files: str | PathLike[str]) -> BackendConfig:
    """A RAMP config file as it is; where event and database are two files, name both. Raises SpecError.

    As in RAMP, relative paths in it are relative to the working directory.
    """
    deployment = read(*(Path(each) for each in files))
    values: dict[str, Any] = {}
    for path in reversed(deployment.files):  # the event's own file comes first, and its sections count
        values |= read_file(path).plain.value
    sections = {name: BackendConfig(values[name], deployment) for name in _WORKERS if name in values}
    return BackendConfig({**values, **sections}, deployment)


def deployment_of(config: Mapping[str, Any], event: str | None = None) -> RampDeployment:
    """The deployment of a config, for another event than its own where one is named. Raises RequestError."""
    if not isinstance(config, BackendConfig):
        raise RequestError("this config is no answer of read_backend_config: read the file by that")
    deployment = config.deployment
    if event is None or event == deployment.event:
        return deployment
    return read(*deployment.files, event=event)


def worker_section(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the file says of the worker, whichever of the two was handed over."""
    return next((config[name] for name in _WORKERS if name in config), config)


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, default=str)
