"""`reconcile convert`: what it prints loads to what was read; it writes over nothing, and says no secret."""

import re
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from reconciler.cli import main
from reconciler.compat.converted import files
from reconciler.compat.ramp_config import RampDeployment
from reconciler.spec.loader import load_config, load_pools
from tests.compat.ramp_cases import AWS, CONDA, FILES, RAMP, SEEDS, SQLALCHEMY, read_seed, read_text

AWKWARD = {
    "a hook with dollars, quotes and lines": RAMP
    + AWS
    + 'hooks: {failed_training: "a \\"${B}\\" $${C} # é\\n: d\\\\"}\n',
    "names that look like numbers": "ramp: {event_name: '12', kit_dir: '0x1', data_dir: 'true'}\n" + CONDA,
    "a path with spaces and signs": RAMP + AWS + "  key_path: './a b: #c'\n  security_group: '- x'\n",
    "a secret with a dollar": RAMP + AWS + "  access_key_id: a${b}\n  secret_access_key: '${HOME}'\n",
}


def convert(*words: object) -> Result:
    return CliRunner().invoke(main, ["convert", *map(str, words)], prog_name="reconcile")


def check_equal(read: RampDeployment, folder: Path, environ: dict[str, str]) -> None:
    """The files of a folder load to the same values, but for where they lie."""
    config = load_config(folder / "config.yml", environ=environ)
    pools = load_pools(config.pools, environ=environ)
    assert pools.problems == ()
    assert attrs.evolve(config, pools=read.config.pools) == read.config
    assert pools.pools == read.pools


@pytest.mark.parametrize("names", SEEDS.values(), ids=SEEDS)
def test_what_is_printed_loads_to_the_same(tmp_path: Path, names: tuple[str, ...]) -> None:
    read = read_seed(*names)
    for name, text in files(read).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    check_equal(read, tmp_path, dict(read.environ))


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_so_do_awkward_values(tmp_path: Path, text: str) -> None:
    read = read_text(tmp_path, SQLALCHEMY + text)
    for name, content in files(read).items():
        (tmp_path / "ours" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ours" / name).write_text(content)
    check_equal(read, tmp_path / "ours", dict(read.environ))


def test_no_secret_is_printed_and_each_is_named(tmp_path: Path) -> None:
    told = convert(FILES / "database.yml", FILES / "seed_002.yml")
    assert told.exit_code == 0, told.output
    assert "EXAMPLE" not in told.output
    assert ":1234@" not in told.output
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DATABASE_PASSWORD"):
        assert re.search(rf"^# export RAMP_IRIS_RAMP_AWS_TEST_{name}=", told.output, flags=re.MULTILINE)
        assert f"${{RAMP_IRIS_RAMP_AWS_TEST_{name}}}" in told.output


def test_what_is_printed_is_what_would_be_written(tmp_path: Path) -> None:
    told = convert(FILES / "seed_002.yml")
    convert(FILES / "seed_002.yml", "--to", tmp_path)
    names = ("config.yml", "specs/iris_ramp_aws_test.yml")
    assert told.stdout == "\n".join(f"# {name}\n{(tmp_path / name).read_text()}" for name in names)


def test_files_are_written_into_a_folder_and_never_over_one(tmp_path: Path) -> None:
    words = (FILES / "conda.yml", "--to", tmp_path / "new")
    told = convert(*words)
    assert told.exit_code == 0, told.output
    assert (tmp_path / "new" / "specs" / "iris_test.yml").exists()
    (tmp_path / "new" / "config.yml").write_text("mine")
    (tmp_path / "new" / "specs" / "iris_test.yml").unlink()
    again = convert(*words)
    assert again.exit_code == 2
    assert "nothing was written" in again.stderr
    assert (tmp_path / "new" / "config.yml").read_text() == "mine"
    assert list((tmp_path / "new" / "specs").iterdir()) == []


def test_several_events_get_a_folder_each(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(SQLALCHEMY)
    for name in ("iris", "boston"):
        (tmp_path / "events" / name).mkdir(parents=True)
        (tmp_path / "events" / name / "config.yml").write_text(RAMP.replace(": iris", f": {name}", 1) + CONDA)
    told = convert(tmp_path / "events", "--to", tmp_path / "new")
    assert told.exit_code == 0, told.output
    written = sorted(str(each.relative_to(tmp_path / "new")) for each in (tmp_path / "new").rglob("*.yml"))
    assert written == ["boston/config.yml", "boston/specs/boston.yml", "iris/config.yml", "iris/specs/iris.yml"]
