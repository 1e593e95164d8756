"""Killed with SIGKILL while all submissions train, and started again: RAMP's dispatcher, then ours, on the same event.

Both find the same folder, byte by byte: RAMP's database, five submissions in it, and the organiser's two files. Both
are started by `ramp-launch dispatcher` on those files, each against an EC2 of tests that holds the same. What is
counted is what costs their users: machines that still run when everything is over, trainings that were started more
than once, submissions that RAMP's database does not show as scored.

What differs is how machines are reached (`ramp_machines`). Ours have no public address, are logged in to, and train by
a real `ramp-test`: each submission notes its start, sleeps, and is trained. RAMP's have one, which leads nowhere, and
are played: a start is the command that it gives, and the results are those of one real training, handed out once the
same time has passed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from benchmarks.deployment import wait_until
from benchmarks.figures import Figure
from benchmarks.ramp_beside import ENGINE, HOW, Ramp, environment, handed_in, open_account
from benchmarks.ramp_machines import KitFleet, stand_ins, why_not
from tests.ec2.control import ROOT, Ec2, running
from tests.machines.sshd import everybodys_key
from tests.rampdb.site import SANDBOX, train

SUBMISSIONS = 5
SECONDS = 40  # of each training: long enough for RAMP to start all of them, one after the other
PATIENCE = 400.0  # seconds for everything to end

# Before each submission's own code, which every fold imports anew. RAMP lets it open no file, so it leaves a folder.
NOTE = """\
import os
import time
import uuid
from pathlib import Path

if "NOTED" not in os.environ:
    os.environ["NOTED"] = "yes"
    Path({ledger!r}, f"{name}-{{uuid.uuid4().hex}}.start").mkdir()
    time.sleep({seconds})
"""


@frozen(kw_only=True)
class Aftermath:
    """What is there when everything is over."""

    leaked: int  # machines that still run
    starts: int  # of trainings
    scored: int  # submissions, in RAMP's database

    @property
    def double(self) -> int:
        """Trainings that were started again."""
        return self.starts - SUBMISSIONS


@frozen
class Event:
    """What an organiser has, as both sides find it: its site and files, and a ledger that machines write to."""

    folder: Path
    ramp: Ramp

    @property
    def ledger(self) -> Path:
        """Where starts are noted."""
        return self.folder / "ledger"

    def starts(self) -> int:
        """How many there were."""
        return len(list(self.ledger.glob("*.start")))

    def scored(self) -> int:
        """By RAMP's own database."""
        rows = self.ramp.site.rows("submissions")
        return sum(row["state"] == "scored" for row in rows if row["name"] != SANDBOX)

    def killed(self, command: Sequence[str], environ: Mapping[str, str], ec2: Ec2) -> Aftermath:
        """Start, kill when all train, start again, and wait for the end."""
        config, event = self.ramp.files
        words = [*command, "dispatcher", "--config", config, "--event-config", event]
        process = self._started(words, environ)
        try:
            wait_until(lambda: self.starts() >= SUBMISSIONS, "all train", patience=PATIENCE)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = self._started(words, environ)
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
        live = [each for each in ec2.instances() if each["state"] not in ("shutting-down", "terminated")]
        return Aftermath(leaked=len(live), starts=self.starts(), scored=self.scored())

    def _started(self, words: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                words, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


def made(folder: Path) -> Event:
    """A new event with its submissions."""
    event = Event(folder, handed_in(folder, SUBMISSIONS, between=1))
    event.ledger.mkdir()
    event.ledger.chmod(0o777)  # the machines' user writes to it
    (folder / "key.pem").write_bytes(everybodys_key().export_private_key())
    (folder / "key.pem").chmod(0o600)
    for place in event.ramp.site.submissions.glob("submission_*"):
        code = place / "estimator.py"
        note = NOTE.format(ledger=str(event.ledger), name=place.name, seconds=SECONDS)
        code.write_text(note + code.read_text(encoding="utf-8"), encoding="utf-8")
    return event


def by_ramp(event: Event, room: Path) -> Aftermath:
    """RAMP's own `ramp-launch`, which is not in PATH beside ours."""
    room.mkdir()
    played = {
        "PATH": f"{stand_ins(room / 'bin')}:{os.environ['PATH']}", "LEDGER": str(event.ledger),
        "RESULTS": str(train(room, "good")), "SECONDS_EACH": str(SECONDS),
    }  # fmt: skip
    with running() as ec2:
        open_account(ec2, public=True)
        return event.killed([sys.executable, "-m", "ramp_engine.cli"], environment(ec2) | played, ec2)


def by_us(event: Event, room: Path) -> Aftermath:
    """Ours. Raises RuntimeError unless every submission ended as it should."""
    with running() as ec2, KitFleet(ec2, room) as fleet:
        open_account(ec2, public=False)
        environ = environment(ec2) | {"PYTHONPATH": str(ROOT)}
        found = event.killed([str(Path(sys.executable).with_name("ramp-launch"))], environ, ec2)
    if fleet.problems or found.scored < SUBMISSIONS:
        said = (event.folder / "log").read_text(encoding="utf-8")[-3000:]
        raise RuntimeError(f"{found.scored} of {SUBMISSIONS} are scored: {fleet.problems}\n{said}")
    return found


def side_by_side(folder: Path) -> tuple[Aftermath | None, Aftermath]:
    """RAMP and us, one after the other: each finds the event as it was made, in the same place."""
    folder.chmod(0o755)  # the machines' user passes through
    event = made(folder / "event")
    shutil.copytree(event.folder, folder / "untouched")
    theirs = by_ramp(event, folder / "theirs") if ENGINE else None
    shutil.rmtree(event.folder)
    (folder / "untouched").rename(event.folder)
    return theirs, by_us(event, folder / "ours")


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    if missing := why_not():
        print(f"ramp-killed: not measured here: {missing}", file=sys.stderr)
        return ()
    with tempfile.TemporaryDirectory(prefix="ramp-killed-") as folder:
        theirs, ours = side_by_side(Path(folder))
    if theirs is None:
        print(f"ramp-killed, RAMP's side: {HOW}", file=sys.stderr)

    def figure(what: str, name: str, bound: int, *, at_least: bool = False) -> Figure:
        beside = f"beside it: {getattr(theirs, name)}" if theirs else "not measured"
        return Figure(
            what=what, measured=getattr(ours, name), bound=bound, unit="", at_least=at_least,
            quoted=f"RAMP 0.10.1, {beside}",
        )  # fmt: skip

    what = f"killed by SIGKILL with {SUBMISSIONS} training, started again"
    return (
        figure(f"{what}: machines left running", "leaked", 0),
        figure("the same: trainings started twice", "double", 0),
        figure("the same: submissions that RAMP's database shows as scored", "scored", SUBMISSIONS, at_least=True),
    )
