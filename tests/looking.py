"""Commands that only look, or write one row, run in this process: to start one takes a core for a second.

What a deployment does is done by real processes. This is how tests look at it, again and again, without slowing it.
"""

from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner

from reconciler.cli import main


def printed(folder: Path, *words: str, environ: Mapping[str, str]) -> str:
    """What a command prints for the config.yml of a folder; it has to work."""
    command = [*words, "--config", str(folder / "config.yml")]
    told = CliRunner().invoke(main, command, env=dict(environ), prog_name="reconcile")
    assert told.exit_code == 0, f"{command}: {told.exception!r}\n{told.output}"
    return told.stdout
