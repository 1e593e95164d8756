"""`read_backend_config`, and the layout that programs written for rampbkd import from."""

import copy
import importlib
from pathlib import Path

import pytest

from reconciler.api import RequestError
from reconciler.compat.rampbkd import launch_ec2_instances, list_ec2_instance_ids, read_backend_config
from reconciler.compat.rampbkd.config import deployment_of, worker_section
from reconciler.spec.errors import SpecError
from tests.compat.ramp_cases import AWS, CONDA, FILES, RAMP, SQLALCHEMY

# ramp-backend's documents and its own __all__.
NAMES = (
    "train_loop", "launch_ec2_instance_and_train", "train_on_existing_ec2_instance", "launch_ec2_instances",
    "terminate_ec2_instance", "list_ec2_instance_ids", "status_of_ec2_instance", "upload_submission", "download_log",
    "download_predictions", "launch_train", "abort_training",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def written(folder: Path, text: str) -> Path:
    file = folder / "config.yml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("module", ["rampbkd", "rampbkd.aws.api"])
def test_the_import_line_is_all_that_changes(module: str) -> None:
    found = importlib.import_module(f"reconciler.compat.{module}")
    assert [name for name in NAMES if not callable(getattr(found, name, None))] == []


def test_a_config_is_the_dictionary_that_ramp_had() -> None:
    config = read_backend_config(FILES / "seed_001_id.yml")
    assert config["ramp"]["event_name"] == "iris"
    assert config["aws"]["ami_user_name"] == "ubuntu"
    assert config["aws"]["memory_profiling"] is True
    for each in (config, config["aws"], copy.deepcopy(config)):
        assert deployment_of(each).event == "iris"
        assert worker_section(each)["instance_type"] == "t2.micro"


def test_another_event_of_the_same_files() -> None:
    config = read_backend_config(FILES / "seed_001_id.yml")
    assert deployment_of(config, "boston").config.controller == "boston"


def test_a_changed_config_is_refused(tmp_path: Path) -> None:
    config = read_backend_config(written(tmp_path, RAMP + AWS))
    config["aws"]["instance_type"] = "p3.2xlarge"
    for each in (config, config["aws"]):
        with pytest.raises(RequestError, match="was changed after it was read: write what you want into a file"):
            launch_ec2_instances(each)


def test_what_was_not_read_by_it_is_refused() -> None:
    with pytest.raises(RequestError, match="read the file by that"):
        list_ec2_instance_ids({"aws": {"instance_type": "t2.micro"}})


def test_a_wrong_file_is_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"config\.yml:5:"):
        read_backend_config(written(tmp_path, RAMP + AWS.replace("ami_image_id:", "ami_image:")))


def test_a_conda_worker_has_no_instances(tmp_path: Path) -> None:
    config = read_backend_config(written(tmp_path, SQLALCHEMY + RAMP + CONDA))
    with pytest.raises(RequestError, match="trains on this computer"):
        list_ec2_instance_ids(config)


@pytest.mark.parametrize("count", [0, -1])
def test_as_many_as_one_at_least(tmp_path: Path, count: int) -> None:
    config = read_backend_config(written(tmp_path, RAMP + AWS))
    with pytest.raises(RequestError, match="one or more"):
        launch_ec2_instances(config, nb=count)
