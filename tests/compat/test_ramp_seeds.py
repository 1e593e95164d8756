"""Every config block that RAMP's documents print is read as it is, and means what its document says."""

import subprocess
from pathlib import Path

import pytest

from reconciler.compat.ramp_config import is_ramp, read, read_all
from reconciler.model.offer import Market
from reconciler.spec.errors import SpecError
from reconciler.spec.options import Ec2Cloud, LocalCloud, Ramp
from reconciler.spec.values import Event, Size
from tests.compat.ramp_cases import AWS, CONDA, CWD, FILES, RAMP, SEEDS, SQLALCHEMY, read_seed, region


@pytest.mark.parametrize("names", SEEDS.values(), ids=SEEDS)
def test_every_block_is_taken_for_ramps_and_read(names: tuple[str, ...]) -> None:
    assert all(is_ramp(FILES / name) for name in names)
    found = read_seed(*names)
    assert found.config.source in [FILES / name for name in names]
    assert found.config.database == f"sqlite:///{FILES}/reconciler.db"
    assert [pool.pool for pool in found.pools] == [found.config.controller]
    assert bool(found.config.ramp) == any("001" in name or name == "database.yml" for name in names)


def test_the_aws_section() -> None:
    found = read_seed("seed_001_id.yml")
    (pool,), (event,) = found.pools, found.config.ramp
    assert found.config.controller == pool.pool == event.event == event.pool == "iris"
    assert pool.cloud.settings == Ec2Cloud(
        region="eu-west-1", image="ami-0bc19972", user="ubuntu", key_name="key",
        key_path=Path("/home/user/.ssh/id_rsa"), security_group=("launch-wizard-1",),
    )  # fmt: skip
    assert pool.size == {"t2.micro": Size(low=0, high=20)}
    assert pool.market == (Market.ON_DEMAND,)
    assert pool.workload.settings == Ramp(kit="~/ramp-kits/iris", memory_profiling=True)
    assert pool.deadlines.run == 12 * 3600
    assert event.database == "postgresql+psycopg://username:p%40ss%2Fword@localhost:5432/ramp"
    assert (event.logs, event.predictions) == (CWD / "logs", CWD / "predictions")
    assert found.config.interval == 60
    (hook,) = found.config.hooks[Event.SUCCEEDED]
    first, command = hook.command.splitlines()
    assert first == "export RAMP_AWS_HOOK=after_sucessful_training; cd /srv/ramp || exit"
    assert command.startswith("cd /mnt/ramp_data/frontend;fab ")


def test_a_hook_knows_its_name_and_runs_where_ramp_was_started(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "config.yml").write_text(RAMP + AWS + "hooks: {failed_training: ['echo $RAMP_AWS_HOOK', pwd]}\n")
    found = read(tmp_path / "config.yml", cwd=tmp_path / "a b", region=region)
    (hook,) = found.config.hooks[Event.FAILED]
    told = subprocess.run(["/bin/sh", "-c", hook.command], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n") == ["failed_training", str(tmp_path / "a b"), ""]


def test_the_aws_worker_keeps_its_keys_in_the_environment() -> None:
    found = read_seed("database.yml", "seed_002.yml")
    (pool,) = found.pools
    settings = pool.cloud.settings
    assert isinstance(settings, Ec2Cloud)
    assert settings.region == "us-west-2"
    assert settings.image == "iris_backend"
    assert settings.secret_access_key == "${RAMP_IRIS_RAMP_AWS_TEST_SECRET_ACCESS_KEY}"
    assert found.environ["RAMP_IRIS_RAMP_AWS_TEST_SECRET_ACCESS_KEY"] == "wJalrXUtnFEMI-EXAMPLEKEY"
    assert found.environ["RAMP_IRIS_RAMP_AWS_TEST_ACCESS_KEY_ID"] == "AKIAIOSFODNN7EXAMPLE"
    assert "EXAMPLE" not in repr(found)
    assert "1234" not in repr(found)
    assert found.config.ramp[0].database == "postgresql+psycopg://mrramp:1234@localhost:5432/databoard_test"
    assert pool.size == {"t2.micro": Size(low=0, high=4)}


def test_the_conda_worker() -> None:
    found = read_seed("database.yml", "conda.yml")
    (pool,) = found.pools
    assert isinstance(pool.cloud.settings, LocalCloud)
    assert pool.size == {"local": Size(low=0, high=3)}
    assert isinstance(pool.workload.settings, Ramp)
    assert pool.workload.settings.kit == str(FILES / "ramp-kits" / "iris")
    assert pool.workload.settings.data == str(FILES / "ramp-data" / "iris")
    assert getattr(pool.workload.settings, "conda_env") == "ramp-iris"  # noqa: B009
    assert pool.deadlines.run == 7200
    assert set(pool.env.values()) == {"2"}
    assert set(pool.env) == {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    assert found.config.ramp[0].logs == FILES / "events" / "iris_test" / "logs"
    assert found.ends


def layout(root: Path) -> Path:
    """RAMP's deployment folder, with two events."""
    (root / "config.yml").parent.mkdir(exist_ok=True)
    (root / "config.yml").write_text(SQLALCHEMY)
    for name in ("iris", "boston"):
        (root / "events" / name).mkdir(parents=True)
        text = RAMP.replace("event_name: iris", f"event_name: {name}") + CONDA
        (root / "events" / name / "config.yml").write_text(text)
    return root


@pytest.mark.parametrize("named", [".", "events", "config.yml"])
def test_a_folder_of_events_is_one_deployment_an_event(tmp_path: Path, named: str) -> None:
    root = layout(tmp_path)
    assert is_ramp(root / named)
    found = read_all([root / named], cwd=CWD, region=region, cpus=4)
    assert [each.event for each in found] == ["boston", "iris"]
    assert all(each.config.ramp for each in found)
    assert found[1].config.database == f"sqlite:///{root}/events/iris/reconciler.db"
    assert found[1].config.ramp[0].predictions == root / "events" / "iris" / "predictions"


def test_an_events_own_file_finds_the_database_of_its_deployment(tmp_path: Path) -> None:
    (found,) = read_all([layout(tmp_path) / "events" / "iris" / "config.yml"], region=region)
    assert found.config.ramp[0].database.endswith("@db:5432/ramp")


def test_several_files_of_one_folder_keep_their_databases_apart(tmp_path: Path) -> None:
    for name in ("iris", "boston"):
        (tmp_path / f"{name}.yml").write_text(SQLALCHEMY + RAMP.replace(": iris", f": {name}", 1) + AWS)
    found = read_all([tmp_path / "iris.yml", tmp_path / "boston.yml"], region=region)
    databases = [each.config.database.rpartition("/")[2] for each in found]
    assert databases == ["reconciler.db", "reconciler-boston.db"]
    assert len({each.config.results for each in found}) == len({each.config.state for each in found}) == 2
    assert "reconciler-boston.db" in found[1].notes[-1]


def test_a_database_beside_an_event_that_has_its_own_is_told_to_be_unused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(SQLALCHEMY + RAMP + AWS)
    (found,) = read_all([FILES / "database.yml", tmp_path / "a.yml"], region=region)
    assert found.config.ramp[0].database.endswith("@db:5432/ramp")
    assert found.notes == (f"{tmp_path}/a.yml: its own sqlalchemy: counts, not that of {FILES}/database.yml",)


def test_two_files_of_one_event_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text(SQLALCHEMY + RAMP + AWS)
    with pytest.raises(SpecError, match=r"b.yml:1:1: another file is of the event iris too"):
        read_all([tmp_path / "a.yml", tmp_path / "b.yml"], region=region)


@pytest.mark.parametrize(
    "text",
    [
        "controller: iris\npools: specs\n",
        "pool: cpu\nsize: {local: 1}\n",
        "ramp: [{database: x}]\n",
        "- aws\n",
        "[",
        "",
    ],
)
def test_our_own_files_and_others_are_not_ramps(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yml").write_text(text)
    assert not is_ramp(tmp_path / "config.yml")
    assert not is_ramp(tmp_path)
    assert not is_ramp(tmp_path / "nowhere.yml")
