"""RAMP's files as files of our own, beside our database: so that every command works on what RAMP's organisers have.

They are written anew whenever RAMP's are read, and are nobody's to edit. Secrets are not in them: those go into the
environment of this process.
"""

import os
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from reconciler.compat.converted import files
from reconciler.compat.ramp_config import RampDeployment, is_ramp, read_all

__all__ = ["is_ramp", "read_all", "served", "translated"]


def translated(deployment: RampDeployment, environ: MutableMapping[str, str]) -> Path:
    """Write a deployment's files into its state folder; answers with its config.yml. Raises OSError."""
    environ.update(deployment.environ)
    folder = deployment.config.state / "ramp" / deployment.config.controller
    for name, text in files(deployment).items():
        _write(folder / name, text)
    return folder / "config.yml"


def served(paths: Sequence[Path]) -> list[Path | RampDeployment]:
    """What each path names: a config of our own, or RAMP's events. Raises SpecError."""
    ramps = [path for path in paths if is_ramp(path)]
    ours: list[Path | RampDeployment] = [path for path in paths if path not in ramps]
    return [*ours, *(read_all(ramps) if ramps else ())]


def _write(file: Path, text: str) -> None:
    """Whole or not at all, and only where it changed: who reads it meanwhile sees the old one or the new one."""
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(file)
