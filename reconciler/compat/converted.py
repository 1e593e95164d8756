"""A RAMP deployment as files of our own, with comments on what changed. No secret is in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.compat.ramp_config import RampDeployment
from reconciler.model.printable import printable

_LONGEST = 1000  # characters of a line of comment


def files(deployment: RampDeployment) -> Mapping[Path, str]:
    """Path within the new folder → content: config.yml, and a spec file a pool. They load to the same values."""
    head = "".join(f"# {printable(line, _LONGEST)}".rstrip() + "\n" for line in _head(deployment))
    name = deployment.config.controller
    return {
        Path("config.yml"): head + deployment.config_draft.text(),
        Path("specs", f"{name}.yml"): deployment.pool_draft.text(),
    }


def _head(deployment: RampDeployment) -> Iterator[str]:
    yield f"What RAMP's {deployment.config.source} says, in reconcile's own words."
    if deployment.exports:
        yield "Before reconcile is started, export each of these with the value that RAMP's files have:"
    for variable, where in deployment.exports.items():
        encoded = ", with %-codes as in a URL" if where.endswith("password") else ""
        yield f"  export {variable}=…  # {where}{encoded}"
    yield from deployment.notes
