"""`ssh`: a shell on a machine, by OpenSSH's own program and by the way that the loop takes: key, bastion, host key."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.completing import instance_names
from reconciler.cli.failing import FAILED, USAGE, Stop
from reconciler.cli.options import command, config_option

if TYPE_CHECKING:
    from reconciler.cli.login import Login
    from reconciler.model.rows import Instance

SIGNALLED = 128  # a shell's way to tell that a program was ended by a signal


@command(
    "ssh",
    "reconcile ssh cpu-4f0c2a9b1d",
    "reconcile ssh i-0abc1234 -- df -h",
    "reconcile ssh i-0abc1234 -- sh -c 'ls ~/.reconciler/jobs | wc -l'",
)
@config_option()
@click.option("--first-use", is_flag=True, help="Believe the first host key that it shows, where none is known yet.")
@click.argument("instance", shell_complete=instance_names)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
@click.pass_context
def ssh(ctx: click.Context, instance: str, *, words: Sequence[str], first_use: bool) -> None:
    """Open a shell on a machine, or run a COMMAND there: its words arrive as they are given.

    It takes the same user, key, port and bastion as the loop, and the host key that the loop has pinned; ~/.ssh/config
    has no say. A machine of the local cloud is a folder on this computer: the shell begins there. The exit status is
    the shell's or the command's.
    """
    from reconciler.cli.deployment import looking
    from reconciler.cli.login import NoWayInError, login_of

    with looking(ctx) as deployment:
        row = deployment.instance(instance)
    try:
        status = _in_folder(row, words) if row.cloud == "local" else _over_ssh(row, login_of(row), words, first_use)
    except NoWayInError as error:
        raise Stop(USAGE, str(error)) from error
    if status:
        raise Stop(status if status > 0 else SIGNALLED - status)


def _in_folder(row: "Instance", words: Sequence[str]) -> int:
    """A machine of the local cloud."""
    from reconciler.hosts.local import KEPT

    home = Path(row.address)
    if not row.address or not home.is_dir():
        raise Stop(FAILED, f"{row.id} is {row.state}: its folder {home if row.address else ''} is not there")
    kept = {name: os.environ[name] for name in (*KEPT, "TERM") if name in os.environ}
    return _run(list(words) or ["sh"], cwd=home, environ={**kept, "HOME": str(home)})


def _over_ssh(row: "Instance", login: "Login", words: Sequence[str], first_use: bool) -> int:
    from reconciler.cli.login import arguments, known_host

    program = shutil.which("ssh")
    if program is None:
        raise Stop(FAILED, "there is no program ssh on this computer: install the package openssh-client")
    if not (login.host_key or login.known_hosts or first_use):
        raise Stop(
            USAGE,
            f"{row.id} has shown no host key yet: wait until the loop has reached it, or say --first-use to believe "
            "the first key that it shows",
        )
    with tempfile.TemporaryDirectory(prefix="reconcile-") as folder:
        pinned = Path(folder) / "known_hosts"
        pinned.write_text(known_host(login, row.id) if login.host_key else "", encoding="utf-8")
        return _run(
            arguments(
                login, words, program=program, alias=row.id, pinned=pinned, first_use=first_use,
                terminal=not words and sys.stdin.isatty(),
            ), cwd=None, environ=os.environ,
        )  # fmt: skip


def _run(argv: Sequence[str], *, cwd: Path | None, environ: Mapping[str, str]) -> int:
    """Run to its end in our place at the terminal: Ctrl-C is the program's own business."""
    try:
        with subprocess.Popen(argv, cwd=cwd, env=dict(environ)) as process:  # noqa: S603  (no shell in between)
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    continue
    except OSError as error:
        raise Stop(FAILED, f"{argv[0]}: {error.strerror}") from error
