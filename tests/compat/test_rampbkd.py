"""rampbkd's functions one by one, as a custom loop calls them: on the EC2 of tests and machines with a real sshd."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.api import RequestError
from reconciler.cli import main
from reconciler.clouds.base import CloudError
from reconciler.compat.rampbkd import (
    abort_training,
    download_log,
    download_predictions,
    launch_ec2_instances,
    launch_train,
    list_ec2_instance_ids,
    read_backend_config,
    release_ec2_instance,
    status_of_ec2_instance,
    terminate_ec2_instance,
    upload_submission,
)
from tests.compat.rampbkd_cases import Organiser, until
from tests.ec2.control import Ec2

pytestmark = pytest.mark.real


def by_hand(ec2: Ec2) -> str:
    """A machine that the organiser started in the console."""
    client = ec2.client()
    try:
        made = client.run_instances(ImageId=ec2.image("own"), MinCount=1, MaxCount=1, InstanceType="c5.large")
        return str(made["Instances"][0]["InstanceId"])
    finally:
        client.close()


def home_again(organiser: Organiser, config: object, instance_id: str, number: int) -> Path:
    """The predictions, once the training is over."""

    def over() -> bool:
        try:
            download_predictions(config, instance_id, number)  # type: ignore[arg-type]
        except RequestError as error:
            assert "still" in str(error)  # noqa: PT017  any other is a failure of the test
            return False
        return True

    until(over)
    return organiser.folder / "predictions" / f"submission_{number:09d}"


def test_two_submissions_on_one_machine(organiser: Organiser) -> None:
    config = read_backend_config("config.yml")
    first, second = organiser.submit("first"), organiser.submit("second")
    (instance,) = launch_ec2_instances(config)
    assert list_ec2_instance_ids(config) == [instance.id] == organiser.live()
    for number in (first, second):
        assert upload_submission(config, instance.id, number) == 0
        assert launch_train(config, instance.id, number) == 0
        place = home_again(organiser, config, instance.id, number)
        assert (place / "fold_0" / "y_pred_test.npz").is_file()
        assert download_log(config, instance.id, number) == 0
        log = organiser.folder / "logs" / f"submission_{number:09d}" / "log"
        assert log.read_text().startswith(f"training submission_{number:09d}\n")
    status = status_of_ec2_instance(config, instance.id)
    assert status is not None
    assert status["InstanceState"]["Name"] == "running"
    assert organiser.site.row(first)["state"] == "new"  # the database hears of whole pipelines alone
    terminate_ec2_instance(config, instance.id)
    terminate_ec2_instance(config, instance.id)
    assert list_ec2_instance_ids(config) == [] == organiser.live()
    with pytest.raises(RequestError, match="there is no instance"):
        upload_submission(config, instance.id, first)


def test_asked_twice_it_trains_once_and_it_can_be_aborted(organiser: Organiser, tmp_path: Path) -> None:
    organiser.fleet.waits = True
    config = read_backend_config("config.yml")["aws"]
    number = organiser.submit("slow")
    name = f"submission_{number:09d}"
    (instance,) = launch_ec2_instances(config)
    home = organiser.fleet.home(instance.id)
    upload_submission(config, instance.id, name, organiser.site.submissions)
    with pytest.raises(RequestError, match="was not trained on"):
        download_log(config, instance.id, name)
    launch_train(config, instance.id, name)
    launch_train(config, instance.id, name)
    until(lambda: organiser.fleet.starts(instance.id))
    with pytest.raises(RequestError, match="still"):
        download_predictions(config, instance.id, name)
    download_log(config, instance.id, name, tmp_path / "live")
    assert (tmp_path / "live" / "log").read_text() == f"training {name}\n"
    assert abort_training(config, instance.id, name) == 0
    assert abort_training(config, instance.id, name) == 0
    with pytest.raises(RequestError, match="left no training_output"):
        download_predictions(config, instance.id, name)
    assert organiser.fleet.starts(instance.id) == [f"start {name}"]
    (home / "wait").unlink()
    launch_train(config, instance.id, name)
    until(lambda: len(organiser.fleet.starts(instance.id)) == 2)
    place = home_again(organiser, config, instance.id, number)
    assert download_predictions(config, instance.id, name, tmp_path / "mine") == tmp_path / "mine"
    assert {each.name for each in (tmp_path / "mine").iterdir()} == {each.name for each in place.iterdir()}


def test_all_or_none_are_launched(organiser: Organiser) -> None:
    config = read_backend_config("config.yml")
    organiser.fleet.ec2.set(limits={"*": 2})
    with pytest.raises(CloudError):
        launch_ec2_instances(config, nb=3)
    assert organiser.live() == []
    made = launch_ec2_instances(config, nb=2)
    assert sorted(each.instance_id for each in made) == organiser.live()


def test_a_lost_answer_buys_nothing_twice(organiser: Organiser) -> None:
    organiser.fleet.ec2.fault("RunInstances", drop=True, after=True)
    made = launch_ec2_instances(read_backend_config("config.yml"))
    assert [each.id for each in made] == organiser.live()


def test_destroy_finds_what_nobody_ended(organiser: Organiser) -> None:
    launch_ec2_instances(read_backend_config("config.yml"), nb=2)
    told = CliRunner().invoke(main, ["destroy", "--yes", "--config", "config.yml"], prog_name="reconcile")
    assert told.exit_code == 0, told.output
    assert organiser.live() == []


def test_a_loop_of_the_event_shows_them_and_ends_none(organiser: Organiser) -> None:
    config = read_backend_config("config.yml")
    (instance,) = launch_ec2_instances(config)
    told = CliRunner().invoke(main, ["--once", "--config", "config.yml"], prog_name="reconcile")
    assert told.exit_code == 0, told.output
    shown = CliRunner().invoke(main, ["pools", "--config", "config.yml"], prog_name="reconcile")
    assert f"machine {instance.id} has our tag and no row here" in shown.stdout
    assert organiser.live() == [instance.id]


def test_ones_own_machine_is_used_and_given_back(organiser: Organiser) -> None:
    config = read_backend_config("config.yml")
    number, own = organiser.submit("own"), by_hand(organiser.fleet.ec2)
    upload_submission(config, own, number)
    launch_train(config, own, number)
    home_again(organiser, config, own, number)
    claim = organiser.fleet.home(own) / ".reconciler" / "claim"
    assert claim.read_text() == "iris_test rampbkd\n"
    release_ec2_instance(config, own)
    assert not claim.exists()
    assert list_ec2_instance_ids(config) == []
    assert organiser.live() == [own]


def test_a_host_key_is_pinned(organiser: Organiser) -> None:
    config = read_backend_config("config.yml")
    number, own = organiser.submit("own"), by_hand(organiser.fleet.ec2)
    upload_submission(config, own, number)
    (pinned,) = (organiser.folder / ".reconciler" / "rampbkd").glob("*.host_key")
    assert pinned.read_text().split() == organiser.fleet.machines[own].host_key.split()
