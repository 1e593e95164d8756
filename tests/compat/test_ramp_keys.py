"""Each documented key has its effect, or a line that says what replaces it; yes and no are truth, a dollar a dollar."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.compat.ramp_config import RampDeployment
from reconciler.compat.ramp_keys import AwsWorker, CondaWorker, Dispatcher, Hooks, Ramp, Sqlalchemy
from reconciler.model.offer import Market
from reconciler.spec.forms import keys_of
from reconciler.spec.values import Event, Size
from tests.compat.ramp_cases import AWS, CONDA, CWD, RAMP, SQLALCHEMY, WORKER, read_text

Look = Callable[[RampDeployment], Any]


def cloud(name: str) -> Look:
    return lambda read: getattr(read.pools[0].cloud.settings, name)


def work(name: str) -> Look:
    return lambda read: getattr(read.pools[0].workload.settings, name)


def size(read: RampDeployment) -> Any:
    return next(iter(read.pools[0].size.values()))


def event(name: str) -> Look:
    return lambda read: getattr(read.config.ramp[0], name)


def hooks(of: Event) -> Look:
    return lambda read: [hook.command.splitlines()[1] for hook in read.config.hooks[of]]


def run(read: RampDeployment) -> float:
    return read.pools[0].deadlines.run


DATABASE = event("database")
URL = "postgresql+psycopg://me:x@db:5432/ramp"

# section.key, a file with a line for it, where its effect shows, and the effect.
EFFECTS: list[tuple[str, str, Look, Any]] = [
    ("sqlalchemy.drivername", SQLALCHEMY + RAMP + AWS, DATABASE, URL),
    ("sqlalchemy.drivername", SQLALCHEMY.replace("sql,", "sql+psycopg2,") + RAMP + AWS, DATABASE, URL),
    ("sqlalchemy.drivername", "sqlalchemy: {drivername: sqlite, database: r.db}\n" + RAMP + AWS, DATABASE,
     f"sqlite:///{CWD}/r.db"),
    ("sqlalchemy.username", SQLALCHEMY.replace(": me", ": a@b") + RAMP + AWS, DATABASE, URL.replace("me", "a%40b")),
    ("sqlalchemy.password", SQLALCHEMY.replace(": x", ": 007") + RAMP + AWS, DATABASE, URL.replace(":x", ":007")),
    ("sqlalchemy.password", SQLALCHEMY.replace(": x", ": ") + RAMP + AWS, DATABASE, URL.replace(":x", "")),
    ("sqlalchemy.host", SQLALCHEMY.replace(": db", ": /run/pg") + RAMP + AWS, DATABASE,
     "postgresql+psycopg://me:x@:5432/ramp?host=%2Frun%2Fpg"),
    ("sqlalchemy.port", SQLALCHEMY.replace("5432", "6000") + RAMP + AWS, DATABASE, URL.replace("5432", "6000")),
    ("sqlalchemy.database", SQLALCHEMY.replace("ramp}", "other}") + RAMP + AWS, DATABASE, URL[:-4] + "other"),
    ("ramp.event_name", SQLALCHEMY + "ramp: {event_name: Big Event}\n" + AWS, lambda read: read.config.controller,
     "big-event"),
    ("ramp.event_name", SQLALCHEMY + "ramp: {event_name: Big Event}\n" + AWS, event("event"), "Big Event"),
    ("ramp.problem_name", RAMP.replace("problem_name: iris", "problem_name: other") + CONDA,
     lambda read: read.pools[0].workload.settings.kit.rpartition("ramp-kits/")[2], "other"),
    ("ramp.event", RAMP.replace("problem_name: iris", "event: other") + CONDA,
     lambda read: read.pools[0].workload.settings.data.rpartition("ramp-data/")[2], "other"),
    ("ramp.kit_dir", RAMP + "  kit_dir: kits/i\n" + CONDA, work("kit"), "/srv/ramp/kits/i"),
    ("ramp.data_dir", RAMP + "  data_dir: /data/i\n" + CONDA, work("data"), "/data/i"),
    ("ramp.submissions_dir", RAMP + "  submissions_dir: subs\n" + CONDA, lambda read: read.submissions, CWD / "subs"),
    ("ramp.predictions_dir", SQLALCHEMY + RAMP + "  predictions_dir: p\n" + CONDA, event("predictions"), CWD / "p"),
    ("ramp.logs_dir", SQLALCHEMY + RAMP + "  logs_dir: l\n" + CONDA, event("logs"), CWD / "l"),
    ("dispatcher.n_workers", RAMP + CONDA + "dispatcher: {n_workers: 7}\n", size, Size(low=0, high=7)),
    ("dispatcher.n_workers", RAMP + CONDA + "dispatcher: {n_workers: -2}\n", size, Size(low=0, high=3)),
    ("dispatcher.n_workers", RAMP + CONDA + "dispatcher: {n_workers: -9}\n", size, Size(low=0, high=1)),
    ("dispatcher.n_workers", RAMP + CONDA, size, Size(low=0, high=4)),
    ("dispatcher.n_workers", RAMP + AWS + "dispatcher: {n_workers: 7}\n", size, Size(low=0, high=7)),
    ("dispatcher.n_workers", RAMP + CONDA + "dispatcher: {n_workers: null}\n", size, Size(low=0, high=4)),
    ("dispatcher.n_threads", RAMP + CONDA + "dispatcher: {n_threads: 3}\n",
     lambda read: read.pools[0].env["MKL_NUM_THREADS"], "3"),
    ("dispatcher.hunger_policy", RAMP + CONDA + "dispatcher: {hunger_policy: exit}\n", lambda read: read.ends, True),
    ("worker.worker_type", RAMP + CONDA, lambda read: read.pools[0].cloud.kind, "local"),
    ("worker.worker_type", RAMP + WORKER, lambda read: read.pools[0].cloud.kind, "ec2"),
    ("worker.conda_env", RAMP + CONDA, work("conda_env"), "ramp-iris"),
    ("worker.conda_env", RAMP + CONDA.replace("  conda_env: ramp-iris\n", ""), work("conda_env"), "base"),
    ("worker.timeout", RAMP + CONDA + "  timeout: 90\n", run, 90),
    ("aws.timeout", RAMP + AWS + "  timeout: 90\n", run, 90),
    ("aws.instance_type", RAMP + AWS, lambda read: list(read.pools[0].size), ["t2.micro"]),
    ("aws.remote_ramp_kit_folder", RAMP + AWS, work("kit"), "~/iris"),
    ("aws.remote_ramp_kit_folder", RAMP + AWS.replace("~/iris", "kits/iris"), work("kit"), "~/kits/iris"),
    ("aws.profile_name", RAMP + AWS + "  profile_name: lab\n", cloud("profile"), "lab"),
    ("aws.access_key_id", RAMP + AWS + "  access_key_id: A\n  secret_access_key: B\n", cloud("access_key_id"),
     "${RAMP_IRIS_ACCESS_KEY_ID}"),
    ("aws.secret_access_key", RAMP + AWS + "  access_key_id: A\n  secret_access_key: B\n",
     lambda read: read.environ[cloud("secret_access_key")(read)[2:-1]], "B"),
    ("aws.region_name", RAMP + AWS + "  region_name: ap-south-1\n", cloud("region"), "ap-south-1"),
    ("aws.region_name", RAMP + AWS, cloud("region"), "eu-west-1"),
    ("aws.ami_image_id", RAMP + AWS, cloud("image"), "ami-0bc19972"),
    ("aws.ami_image_name", RAMP + AWS.replace("id: ami-0bc19972", "name: iris"), cloud("image"), "iris"),
    ("aws.ami_user_name", RAMP + AWS + "  ami_user_name: admin\n", cloud("user"), "admin"),
    ("aws.use_spot_instance", RAMP + AWS + "  use_spot_instance: yes\n", lambda read: read.pools[0].market,
     (Market.SPOT, Market.ON_DEMAND)),
    ("aws.use_spot_instance", RAMP + AWS + "  use_spot_instance: No\n", lambda read: read.pools[0].market,
     (Market.ON_DEMAND,)),
    ("aws.key_name", RAMP + AWS + "  key_name: k\n", cloud("key_name"), "k"),
    ("aws.key_path", RAMP + AWS + "  key_path: keys/k.pem\n", cloud("key_path"), CWD / "keys" / "k.pem"),
    ("aws.security_group", RAMP + AWS + "  security_group: g\n", cloud("security_group"), ("g",)),
    ("aws.local_predictions_folder", SQLALCHEMY + RAMP + AWS + "  local_predictions_folder: ./p\n",
     event("predictions"), CWD / "p"),
    ("aws.predictions_dir", SQLALCHEMY + RAMP + AWS + "  predictions_dir: p\n  local_predictions_folder: q\n",
     event("predictions"), CWD / "p"),
    ("aws.local_log_folder", SQLALCHEMY + RAMP + AWS + "  local_log_folder: /l\n", event("logs"), Path("/l")),
    ("aws.logs_dir", SQLALCHEMY + RAMP + AWS + "  logs_dir: l\n", event("logs"), CWD / "l"),
    ("aws.memory_profiling", RAMP + AWS + "  memory_profiling: true\n", work("memory_profiling"), True),
    ("aws.train_loop_interval_secs", RAMP + AWS + "  train_loop_interval_secs: 5\n",
     lambda read: read.config.interval, 5),
    ("aws.hooks", RAMP + AWS + "  hooks: {start_training: 'echo ${A}'}\n", hooks(Event.STARTED), ["echo ${A}"]),
    ("worker.hooks", RAMP + CONDA + "  hooks: {start_training: a}\n", hooks(Event.STARTED), ["a"]),
    ("hooks.start_training", RAMP + AWS + "hooks: {start_training: [a, b, a]}\n", hooks(Event.STARTED), ["a;b;a"]),
    ("hooks.successful_training", RAMP + CONDA + "hooks: {successful_training: a}\n", hooks(Event.SUCCEEDED), ["a"]),
    ("hooks.failed_training", RAMP + WORKER + "hooks: {failed_training: a}\n", hooks(Event.FAILED), ["a"]),
    ("hooks.after_sucessful_training", RAMP + AWS + "hooks: {after_sucessful_training: a, successful_training: b}\n",
     hooks(Event.SUCCEEDED), ["a", "b"]),
    ("hooks.after_successful_training", RAMP + AWS + "hooks: {after_successful_training: a}\n",
     hooks(Event.SUCCEEDED), ["a"]),
]  # fmt: skip

# section.key, a file with it, and what people are told.
NOTES = [
    ("aws.check_status_interval_secs", RAMP + AWS + "  check_status_interval_secs: 9\n", "8:31", "once a pass"),
    ("aws.check_finished_training_interval_secs", RAMP + WORKER + "  check_finished_training_interval_secs: 9\n",
     "9:42", "the end of a training is told at once"),
    ("aws.ami_image_name", RAMP + AWS.replace("id: ami-0bc19972", "name: iris"), "5:19", "your own account's images"),
    ("dispatcher.time_between_collection", "dispatcher: {time_between_collection: 2}\n" + RAMP + CONDA, "1:39",
     "told at once"),
    ("dispatcher.hunger_policy", "dispatcher: {hunger_policy: sleep}\n" + RAMP + CONDA, "1:29", "the loop waits"),
    ("dispatcher.hunger_policy", "dispatcher: {hunger_policy: None}\n" + RAMP + CONDA, "1:29", "the loop waits"),
    ("dispatcher.hunger_policy", "dispatcher: {hunger_policy: exit}\n" + RAMP + CONDA, "1:29", "--until-settled"),
    ("ramp.event_title", RAMP + "  event_title: Iris!\n" + CONDA, "4:16", "for RAMP's own tools"),
    ("ramp.event_is_public", RAMP + "  event_is_public: true\n" + CONDA, "4:20", "for RAMP's own tools"),
    ("ramp.sandbox_dir", RAMP + "  sandbox_dir: starting_kit\n" + CONDA, "4:16", "for RAMP's own tools"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "text", "look", "wanted"), EFFECTS, ids=[each[0] for each in EFFECTS])
def test_a_key_does_what_its_document_says(tmp_path: Path, key: str, text: str, look: Look, wanted: object) -> None:
    assert look(read_text(tmp_path, text)) == wanted


@pytest.mark.parametrize(("key", "text", "place", "said"), NOTES, ids=[each[0] for each in NOTES])
def test_a_key_without_effect_is_answered_by_one_line(
    tmp_path: Path, key: str, text: str, place: str, said: str
) -> None:
    read = read_text(tmp_path, text)
    name = key.partition(".")[2]
    (note,) = [each for each in read.notes if f".{name}: " in each]
    assert note.startswith(f"{tmp_path}/config.yml:{place}: ")
    assert said in note
    assert "\n" not in note


def test_every_key_there_is_has_one_of_these() -> None:
    known = {"sqlalchemy": Sqlalchemy, "ramp": Ramp, "dispatcher": Dispatcher, "hooks": Hooks, "worker": CondaWorker}
    keys = {f"{section}.{key}" for section, cls in known.items() for key in keys_of(cls)}
    keys |= {f"aws.{key}" for key in keys_of(AwsWorker) if key != "worker_type"}
    assert keys == {key for key, *_ in EFFECTS} | {key for key, *_ in NOTES}


def test_what_nobody_said_is_said_in_a_note(tmp_path: Path) -> None:
    read = read_text(tmp_path / "flowers", AWS)
    assert (read.event, read.config.controller) == ("flowers", "flowers")
    assert any("there is no ramp.event_name: the event is taken to be flowers" in note for note in read.notes)
    assert any("no sqlalchemy: section" in note for note in read.notes)


def test_boto3_finds_the_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.compat.ramp_config import boto3_region

    (tmp_path / "aws").write_text("[profile lab]\nregion = sa-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert boto3_region("lab") == "sa-east-1"
    assert boto3_region("nobody") is None
    assert boto3_region(None) is None
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert boto3_region(None) == "eu-north-1"
