"""The machines of `ramp_killed`: a real OpenSSH server each for ours, two stand-in commands for RAMP's.

RAMP reaches machines by public addresses alone, and needs rsync and screen on them: so its `ssh` and `rsync` are played
by two commands in its PATH. Ours have what an organiser's image has: a kit, and a real `ramp-test` to train it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.ec2.fleet import Fleet
from tests.machines.sshd import SshMachine
from tests.machines.sshd import why_not as no_machines
from tests.rampdb.site import KIT

USER = 1000  # who logs in on a machine

# Both commands' last arguments are what RAMP says: a command for the machine, or a source and a target.
SSH = """\
#!/bin/sh
for said; do :; done
case $said in
*"screen -dm -S "*)
    name=${said#*"screen -dm -S "} name=${name%% *}
    mkdir "$LEDGER/$name-$$.start"
    date +%s >"$LEDGER/$name.since" ;;
*"screen -ls"*)
    name=${said##*grep } name=${name%%|*}
    [ "$(($(date +%s) - $(cat "$LEDGER"/$name.since)))" -lt "$SECONDS_EACH" ] && echo 1 || echo 0 ;;
*instance-action*) printf none ;;
*grep\\ fold_*) ls "$RESULTS/training_output" | grep -c fold_ ;;
*y_pred_train*) find "$RESULTS" -name y_pred_train.npz | wc -l ;;
*y_pred_test*) find "$RESULTS" -name y_pred_test.npz | wc -l ;;
esac
"""
RSYNC = """\
#!/bin/sh
for target; do :; done
case $* in
*training_output/*) mkdir -p "$target" && cp -r "$RESULTS/training_output/." "$target" ;;
*/log\\ *) cp "$RESULTS/log" "$target" ;;
esac
"""


def why_not() -> str:
    """Why no machine can train here; empty where one can."""
    if missing := no_machines():
        return missing
    hidden = [place for place in (sys.prefix, sys.base_prefix) if Path(place).is_relative_to("/home")]
    tried = subprocess.run(
        [sys.executable, "-c", "import rampwf"], cwd="/", user=USER, group=USER, extra_groups=[], check=False,
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    return f"machines cannot use the Python of {sys.prefix}" if hidden or tried.returncode else ""


def stand_ins(folder: Path) -> Path:
    """The folder of RAMP's ssh and rsync. They read LEDGER, RESULTS and SECONDS_EACH."""
    folder.mkdir()
    for name, text in (("ssh", SSH), ("rsync", RSYNC)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


class KitFleet(Fleet):
    """Machines from the image of the event: `~/kit`, and `ramp-test` in `~/venv`."""

    def _boot(self, cloud_id: str, address: str) -> None:
        if cloud_id not in self._disks:
            machine = self._disks[cloud_id] = SshMachine(self.folder / cloud_id, address)
            shutil.copytree(KIT, machine.home / "kit")
            tool = machine.home / "venv" / "bin" / "ramp-test"
            tool.parent.mkdir(parents=True)
            tool.write_text(f'#!/bin/sh\nexec {Path(sys.executable).with_name("ramp-test")} "$@"\n', encoding="utf-8")
            tool.chmod(0o755)
        super()._boot(cloud_id, address)
