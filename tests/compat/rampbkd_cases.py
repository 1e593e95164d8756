"""What rampbkd's functions are tested on: a RAMP site on SQLite, the EC2 of tests, and machines with a kit.

`ramp-test` on the machines is a stand-in: a machine sees no Python packages of this computer. It leaves what a real one
left for the same submission, and waits where the machine's home holds a file `wait`.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from tests.ec2.fleet import Fleet
from tests.machines.sshd import SshMachine
from tests.rampdb.site import EVENT, Site

PATIENCE = 60  # seconds for anything to come true

CONFIG = """\
sqlalchemy: {drivername: sqlite, database: @DATABASE@}
ramp: {event_name: @EVENT@, problem_name: iris, submissions_dir: @SUBMISSIONS@}
aws:
  region_name: eu-west-1
  ami_image_id: @IMAGE@
  ami_user_name: ubuntu
  instance_type: c5.large
  key_path: @KEY@
  remote_ramp_kit_folder: ~/ramp-kits/iris
  local_predictions_folder: ./predictions
  local_log_folder: ./logs
  train_loop_interval_secs: 1
"""

RAMP_TEST = """\
#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --submission) name=$2 ;; --ramp-submission-dir) folder=$2 ;; esac
    shift
done
like=good code=0
if grep -q 'submission with a mistake' "$folder/$name/estimator.py"; then like=raises code=1; fi
echo "start $name" >>"$HOME/ledger"
echo "training $name"
while [ -e "$HOME/wait" ]; do sleep 0.1; done
cp -R "$HOME/real/$like/training_output" "$folder/$name/"
cat "$HOME/real/$like/log"
exit $code
"""


class KitFleet(Fleet):
    """Machines made from an image with a kit, as RAMP's organisers make one."""

    results: Callable[[str], Path]
    waits = False  # whether trainings wait on machines that boot from now on

    def _boot(self, cloud_id: str, address: str) -> None:
        if cloud_id not in self._disks:
            machine = self._disks[cloud_id] = SshMachine(self.folder / cloud_id, address)
            self._furnish(machine.home)
            machine.start()
            self.machines[cloud_id] = machine
            return
        super()._boot(cloud_id, address)

    def _furnish(self, home: Path) -> None:
        tool = home / "venv" / "bin" / "ramp-test"
        tool.parent.mkdir(parents=True)
        tool.write_text(RAMP_TEST)
        tool.chmod(0o755)
        for like in ("good", "raises"):
            shutil.copytree(self.results(like), home / "real" / like)
        (home / "ramp-kits" / "iris" / "submissions").mkdir(parents=True)
        (home / "ramp-kits" / "iris" / "data").mkdir()
        if self.waits:
            (home / "wait").touch()
        for place, folders, files in os.walk(home):
            for name in (*folders, *files):
                os.chown(f"{place}/{name}", 1000, 1000)

    def home(self, cloud_id: str) -> Path:
        """The home of a machine, once it has booted."""
        until(lambda: cloud_id in self.machines)
        return self.machines[cloud_id].home

    def starts(self, cloud_id: str) -> list[str]:
        """What was started on a machine, also on one that is gone."""
        ledger = self._disks[cloud_id].home / "ledger"
        return ledger.read_text().splitlines() if ledger.exists() else []


@frozen
class Organiser:
    """Somebody with a RAMP site, a config file and an account."""

    folder: Path
    site: Site
    fleet: KitFleet

    @property
    def config(self) -> Path:
        return self.folder / "config.yml"

    def write(self) -> None:
        """The config, as RAMP has it."""
        words = {
            "DATABASE": str(self.site.config["database"]), "EVENT": EVENT, "IMAGE": self.fleet.ec2.image(),
            "KEY": str(self.fleet.key_path), "SUBMISSIONS": str(self.site.submissions),
        }  # fmt: skip
        text = CONFIG
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        self.config.write_text(text)

    def submit(self, name: str, like: str = "good") -> int:
        """A submission that was handed in some time ago."""
        number = self.site.submit("alpha", name, like)
        folder = self.site.submissions / f"submission_{number:09d}"
        for each in (*folder.iterdir(), folder):
            os.utime(each, (time.time() - 60, time.time() - 60))
        return number

    def live(self) -> list[str]:
        """The machines that cost money."""
        return sorted(each["id"] for each in self.fleet.live())


def until(truth: Callable[[], object]) -> None:
    """Wait for something to be true."""
    give_up = time.monotonic() + PATIENCE
    while not truth():
        assert time.monotonic() < give_up
        time.sleep(0.05)
