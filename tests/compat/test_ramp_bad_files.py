"""A wrong RAMP file ends a command with status 2, each fault by its place, and never a traceback or a secret."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.cli.ramp_commands import ramp_aws_train, ramp_aws_train_loop, ramp_launch
from tests.compat.ramp_cases import AWS, CONDA, RAMP, SQLALCHEMY, WORKER

REGION = "  region_name: eu-west-1\n"
KEYS = "  access_key_id: AKIA\n  secret_access_key: sesame\n"

# What is wrong → the file, and what is said of it.
BAD = {
    "not yaml": ("aws: [", "config.yml:1:"),
    "a list": ("- aws\n", "config.yml:1:1: not a mapping"),
    "empty": ("", "config.yml:1:1: the file is empty"),
    "no such section": ("awz: 1\n" + RAMP + CONDA, "config.yml:1:1: RAMP has no section 'awz'; did you mean aws?"),
    "nobody trains": (SQLALCHEMY + RAMP, "config.yml:1:1: no file says who trains"),
    "both train": (CONDA + AWS + REGION, "config.yml:1:1: there is an aws: section too"),
    "unknown key": (RAMP + AWS + "  instance_typ: x\n", "config.yml:8:3: aws: there is no key 'instance_typ' here"),
    "a likely key": (RAMP + AWS + "  key_pth: x\n", "did you mean key_path?"),
    "unknown in ramp": (RAMP + "  evnt_title: x\n" + CONDA, "config.yml:4:3: ramp: there is no key 'evnt_title'"),
    "both images": (RAMP + AWS + "  ami_image_name: x\n", "8:3: aws: ami_image_id and ami_image_name cannot both be"),
    "no image": (RAMP + AWS.replace("  ami_image_id: ami-0bc19972\n", ""), "config.yml:5:3: aws: no image is named"),
    "no image's id": (RAMP + AWS.replace("ami-0", "iris_"), "5:17: aws.ami_image_id: 'iris_bc19972' is not an image"),
    "no type": (RAMP + AWS.replace("  instance_type: t2.micro\n", ""), "aws: the key instance_type is missing"),
    "no kit": (RAMP + AWS.replace("  remote_ramp_kit_folder: ~/iris\n", ""), "key remote_ramp_kit_folder is missing"),
    "a kit that leads up": (RAMP + AWS.replace("~/iris", "~/../x"), "7:27: aws.remote_ramp_kit_folder: '~/../x' leads"),
    "half of the keys": (RAMP + AWS + "  access_key_id: A\n", "8:3: aws: access_key_id goes with secret_access_key"),
    "keys and profile": (RAMP + AWS + KEYS + "  profile_name: x\n", "profile_name and access_key_id cannot both be"),
    "not a number": (RAMP + AWS + "  train_loop_interval_secs: soon\n", "8:29: aws.train_loop_interval_secs: 'soon'"),
    "not a truth": (RAMP + AWS + "  memory_profiling: often\n", "8:21: aws.memory_profiling: 'often' is neither"),
    "not a text": (RAMP + AWS + "  key_name: [a]\n", "8:13: aws.key_name: a list is not text"),
    "not a section": (RAMP + "aws: 3\n", "config.yml:4:6: aws: 3 is not a mapping"),
    "no value": (RAMP + AWS + "  key_name:\n", "config.yml:8:3: 'key_name' has no value"),
    "a key twice": (RAMP + AWS + "  instance_type: x\n", "config.yml:8:3: the key 'instance_type' appears twice"),
    "no type of worker": (RAMP + "worker: {conda_env: x}\n", "yml:4:9: worker: the key worker_type is missing"),
    "another worker": (RAMP + CONDA.replace("conda\n", "dask\n"), "16: worker.worker_type: there is no worker 'dask'"),
    "keys of another": (RAMP + CONDA + "  key_name: x\n", "config.yml:7:3: worker: there is no key 'key_name' here"),
    "no driver": (SQLALCHEMY.replace("postgresql", "oracle") + RAMP + CONDA, "1:26: sqlalchemy.drivername: 'oracle'"),
    "no file": ("sqlalchemy: {drivername: sqlite, database: ':memory:'}\n" + RAMP + CONDA, "':memory:' is no file"),
    "no port": (SQLALCHEMY.replace("5432", "pg") + RAMP + CONDA, "sqlalchemy.port: 'pg' is not a port"),
    "no host": (SQLALCHEMY.replace("host: db, ", "") + RAMP + CONDA, "1:13: sqlalchemy: the key host is missing"),
    "no database": (SQLALCHEMY.replace(", database: ramp", "") + RAMP + CONDA, "the key database is missing"),
    "no workers": (RAMP + CONDA + "dispatcher: {n_workers: 0}\n", "7:25: dispatcher.n_workers: 0 would be without"),
    "no threads": (RAMP + CONDA + "dispatcher: {n_threads: 0}\n", "7:25: dispatcher.n_threads: 0 is out of range"),
    "no policy": (RAMP + CONDA + "dispatcher: {hunger_policy: slep}\n", "no policy 'slep'; did you mean sleep?"),
    "no hook": (RAMP + CONDA + "hooks: {after_traning: x}\n", "config.yml:7:9: hooks: there is no key 'after_traning'"),
    "no hook inside": (RAMP + AWS + "  hooks: {after_traning: x}\n", "8:11: aws.hooks: there is no key 'after_"),
    "no command": (RAMP + CONDA + "hooks: {failed_training: [x, 3]}\n", "hooks.failed_training: not a command"),
    "hooks twice": (RAMP + AWS + "  hooks: {failed_training: a}\nhooks: {failed_training: b}\n", "hooks in aws: too"),
    "no problem": ("ramp: {event_name: iris}\n" + CONDA, "ramp: says neither problem_name nor kit_dir"),
    "a name of signs": ("ramp: {event_name: '???'}\n" + AWS + REGION, "no letter or digit"),
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "nothing"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config.yml"


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_told_by_its_place(config: Path, text: str, message: str) -> None:
    config.write_text(text)
    told = CliRunner().invoke(main, ["convert", str(config)], prog_name="reconcile")
    assert told.exit_code == 2, told.output
    assert message in told.stderr
    assert "Traceback" not in told.output
    assert "sesame" not in told.output
    assert list(config.parent.iterdir()) == [config]


def test_all_that_is_wrong_is_told_at_once(config: Path) -> None:
    config.write_text(SQLALCHEMY.replace("5432", "pg") + RAMP + WORKER + "  key_pth: x\n  timeout: long\n")
    told = CliRunner().invoke(main, ["convert", str(config)], prog_name="reconcile")
    assert [line.split(":")[1] for line in told.stderr.splitlines()] == ["1", "10", "11"]


def test_no_region_anywhere(config: Path) -> None:
    config.write_text(RAMP + AWS)
    told = CliRunner().invoke(main, ["convert", str(config)], prog_name="reconcile")
    assert told.exit_code == 2
    assert "add region_name, or export AWS_DEFAULT_REGION" in told.stderr


@pytest.mark.parametrize(
    ("door", "words"),
    [
        (ramp_aws_train, ["{}", "3"]),
        (ramp_aws_train, ["{}", "--event=e", "--team=t", "--name=n", "--instance-id=i-1"]),
        (ramp_aws_train_loop, ["{}"]),
        (ramp_launch, ["dispatcher", "--config", "{}", "--event-config", "{}", "-vv"]),
        (ramp_launch, ["worker", "--event-config", "{}", "--submission", "s"]),
    ],
)
def test_ramps_commands_tell_it_too(config: Path, door: click.Command, words: list[str]) -> None:
    config.write_text(RAMP + AWS + "  key_pth: x\n")
    told = CliRunner().invoke(door, [word.format(config) for word in words])
    assert told.exit_code == 2
    assert f"{config}:8:3: aws: there is no key 'key_pth' here; did you mean key_path?" in told.stderr


@pytest.mark.parametrize(
    ("door", "words", "message"),
    [
        (ramp_aws_train, ["c.yml"], "name the submission"),
        (ramp_aws_train, ["c.yml", "--event=e", "--team=t"], "name the submission"),
        (ramp_aws_train, ["c.yml", "3", "--name=n"], "one way"),
        (ramp_launch, ["dispatcher"], "--event-config"),
        (ramp_launch, ["daemon"], "--events-dir"),
        (ramp_launch, ["worker"], "--submission"),
    ],
)
def test_ramps_commands_take_what_ramps_take(door: click.Command, words: list[str], message: str) -> None:
    told = CliRunner().invoke(door, words)
    assert told.exit_code == 2
    assert message in told.stderr
