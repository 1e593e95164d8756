"""rampbkd's whole pipelines, and what is left of them when they are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.api import RequestError
from reconciler.cli import main
from reconciler.cli.ramp_commands import ramp_aws_train, ramp_launch
from reconciler.compat.ramp_config import read
from reconciler.compat.ramp_train import Wanted, alone
from reconciler.compat.rampbkd import (
    launch_ec2_instance_and_train,
    list_ec2_instance_ids,
    read_backend_config,
    train_on_existing_ec2_instance,
)
from reconciler.compat.translated import translated
from reconciler.spec.loader import load_config, load_pools
from tests.compat.rampbkd_cases import Organiser, until
from tests.compat.test_rampbkd import by_hand

pytestmark = pytest.mark.real

ONE = "launch_ec2_instance_and_train(read_backend_config('config.yml'), {})"
LOOP = "train_loop(read_backend_config('config.yml'))"


def started(organiser: Organiser, call: str) -> subprocess.Popen[bytes]:
    """A program of the organiser's that makes one call."""
    root = Path(__file__).parents[2]
    program = f"from reconciler.compat.rampbkd import *\n{call}\n"
    with (organiser.folder / "program.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", program], cwd=organiser.folder, stdout=log, stderr=log,
            env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip


def test_one_submission_from_launch_to_scores(organiser: Organiser) -> None:
    config = read_backend_config("config.yml")
    good, bad, other = organiser.submit("good"), organiser.submit("bad", "raises"), organiser.submit("other")
    assert launch_ec2_instance_and_train(config, good) is True
    assert organiser.site.row(good)["state"] == "scored"
    assert (organiser.folder / "logs" / f"submission_{good:09d}" / "log").is_file()
    assert (organiser.folder / "predictions" / f"submission_{good:09d}" / "fold_0").is_dir()
    told = CliRunner().invoke(ramp_aws_train, ["config.yml", str(bad)])
    assert told.exit_code == 1, told.output
    assert organiser.site.row(bad)["state"] == "training_error"
    assert "Traceback" in organiser.site.row(bad)["error_msg"]
    assert organiser.site.row(other)["state"] == "new"
    assert organiser.live() == [] == list_ec2_instance_ids(config)
    with pytest.raises(RequestError, match="has no submission 999"):
        launch_ec2_instance_and_train(config, 999)
    told = CliRunner().invoke(ramp_aws_train, ["config.yml", "999"])
    assert (told.exit_code, "has no submission 999" in told.output) == (2, True)


def test_on_a_machine_that_runs_already(organiser: Organiser) -> None:
    number, own = organiser.submit("bad", "raises"), by_hand(organiser.fleet.ec2)
    assert train_on_existing_ec2_instance(read_backend_config("config.yml"), own, number) is False
    assert organiser.site.row(number)["state"] == "training_error"
    assert organiser.fleet.starts(own) == [f"start submission_{number:09d}"]
    assert organiser.live() == [own]


def test_a_worker_trains_a_folder_and_tells_no_database(organiser: Organiser) -> None:
    number = organiser.submit("good")
    name = f"submission_{number:09d}"
    told = CliRunner().invoke(ramp_launch, ["worker", "--submission", name])
    assert told.exit_code == 0, told.output
    (log,) = organiser.folder.glob(f".reconciler/train/{name}/results/{name}/*/log")
    assert log.read_text().startswith(f"training {name}\n")
    assert organiser.site.row(number)["state"] == "new"
    assert organiser.live() == []
    for wrong in ("../elsewhere", "submission_000000999"):
        told = CliRunner().invoke(ramp_launch, ["worker", "--submission", wrong])
        assert told.exit_code == 2, told.output
    assert [each.name for each in (organiser.folder / ".reconciler" / "train").iterdir()] == [name]


def test_killed_and_called_again_it_goes_on(organiser: Organiser) -> None:
    organiser.fleet.waits = True
    number = organiser.submit("slow")
    first = started(organiser, ONE.format(number))
    try:
        until(organiser.live)
        (instance,) = organiser.live()
        home = organiser.fleet.home(instance)
        until(lambda: organiser.fleet.starts(instance))
    finally:
        first.kill()
        first.wait()
    config = read_backend_config("config.yml")
    assert list_ec2_instance_ids(config) == [instance]
    (home / "wait").unlink()
    assert launch_ec2_instance_and_train(config, number) is True
    assert organiser.fleet.starts(instance) == [f"start submission_{number:09d}"]
    assert len(organiser.fleet.ec2.instances()) == 1
    assert organiser.live() == []


def test_killed_and_never_called_again_it_is_found_and_destroyed(organiser: Organiser) -> None:
    number = organiser.submit("slow")
    organiser.fleet.waits = True
    program = started(organiser, ONE.format(number))
    try:
        until(organiser.live)
    finally:
        program.kill()
        program.wait()
    (config,) = organiser.folder.glob(f".reconciler/train/{number}/ramp/*/config.yml")
    told = CliRunner().invoke(main, ["destroy", "--yes", "--config", str(config)], prog_name="reconcile")
    assert told.exit_code == 0, told.output
    assert organiser.live() == []


def test_the_loop_trains_what_comes_until_it_is_ended(organiser: Organiser) -> None:
    first = organiser.submit("first")
    program = started(organiser, LOOP)
    try:
        until(lambda: organiser.site.row(first)["state"] == "scored")
        second = organiser.submit("second")
        until(lambda: organiser.site.row(second)["state"] == "scored")
        assert program.poll() is None
        program.send_signal(signal.SIGINT)
        program.wait(timeout=60)
    finally:
        program.kill()
        program.wait()
    ids = [each["id"] for each in organiser.fleet.ec2.instances()]
    assert list_ec2_instance_ids(read_backend_config("config.yml")) == sorted(ids) == organiser.live()
    assert [len(organiser.fleet.starts(each)) for each in ids] == [2]


@pytest.mark.parametrize("instance", ["", "i-0123456789abcdef0"])
def test_the_config_of_one_submission_says_what_is_served(organiser: Organiser, instance: str) -> None:
    mine = alone(read(organiser.config), "7", Wanted(submission_id=7, instance_id=instance))
    written = load_config(translated(mine, os.environ))
    for name in ("controller", "database", "results", "state", "ramp", "hooks", "interval"):
        assert getattr(written, name) == getattr(mine.config, name)
    assert load_pools(written.pools).pools == mine.pools
