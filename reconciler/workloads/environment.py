"""The environment that a pool names for its jobs: what the lines in front of a job's own (environment.sh) are told."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from reconciler.spec.options import Ramp, Script

# Setting → the variable that environment.sh reads.
_VARIABLES = (
    ("conda_env", "RECONCILER_CONDA_ENV"),
    ("venv", "RECONCILER_VENV"),
    ("python", "RECONCILER_PYTHON"),
)


def named_environment(settings: Ramp | Script) -> Mapping[str, str]:
    """The variables of the environment that is named; empty where none is."""
    found = {variable: getattr(settings, setting) for setting, variable in _VARIABLES}
    return {variable: value for variable, value in found.items() if value is not None}


@cache
def shell_lines(name: str) -> str:
    """The text of one of the scripts beside this file, `environment.sh` for the functions that find an environment."""
    return files("reconciler.workloads").joinpath(name).read_text(encoding="utf-8")
