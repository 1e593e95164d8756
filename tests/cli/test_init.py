"""`init` writes what runs, and never over a file; `doctor` says what is wrong before a run does."""

import json
import re
from pathlib import Path

import pytest

from reconciler.cli.init import KINDS, templates
from reconciler.spec.loader import load_config, load_pools, queue_problems
from tests.cli.cli_rows import POOL, Invoke, Start, tree


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_writes_is_good(invoke: Invoke, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "new" / "runs"
    told = invoke("init", kind, folder)
    assert told.exit_code == 0, told.output
    written = set(re.findall(r"(?m)^wrote (.*)$", told.stdout))
    assert written == {str(folder / name) for name in tree(folder)}
    config = load_config(folder / "config.yml")
    pools = load_pools(config.pools)
    assert not pools.problems
    assert not queue_problems(config, pools)
    assert config.queue.folder is not None
    assert any(config.queue.folder.iterdir())
    assert told.stdout.splitlines()[-1] == f"next: {KINDS[kind].first}cd {folder} && {KINDS[kind].next}"


def test_it_is_local_and_here_by_default(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("init").exit_code == 0
    assert {str(name) for name in dict(templates("local"))} == set(tree(tmp_path))


@pytest.mark.parametrize(
    ("folder", "controller"),
    [("iris", "iris"), ("My Runs (2)", "my-runs-2"), ("2024", "runs-2024"), ("null", "runs-null"), ("é", "runs"),
     ("x" * 100, "x" * 63), ("_a", "a")],
)  # fmt: skip
def test_the_controller_is_named_after_the_folder(invoke: Invoke, tmp_path: Path, folder: str, controller: str) -> None:
    assert invoke("init", "ec2", tmp_path / folder).exit_code == 0
    assert load_config(tmp_path / folder / "config.yml").controller == controller
    assert "no other of the account may have it" in (tmp_path / folder / "config.yml").read_text()
    assert (tmp_path / folder / ".gitignore").exists()


@pytest.mark.parametrize("name", ["config.yml", "specs/local.yml", "submissions/hello/run.sh"])
def test_it_never_writes_over_a_file(invoke: Invoke, tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    before = tree(tmp_path)
    told = invoke("init", "local", tmp_path)
    assert told.exit_code == 2
    assert str(mine) in told.stderr
    assert tree(tmp_path) == before


def test_a_file_in_the_way_of_a_folder(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "specs").write_text("mine")
    told = invoke("init", "local", tmp_path)
    assert told.exit_code == 2
    assert str(tmp_path / "specs") in told.stderr
    assert tree(tmp_path) == {"specs": b"mine"}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("ec2", {"region", "image", "key_name", "key_path", "security_group"}),
        ("ssh", {"machines", "user", "key_path"}),
    ],
)
def test_what_has_to_be_filled_in_is_marked(invoke: Invoke, tmp_path: Path, kind: str, wanted: set[str]) -> None:
    assert invoke("init", kind, tmp_path).exit_code == 0
    text = (tmp_path / "specs" / f"{kind}.yml").read_text()
    marked = {line.split(":")[0].strip() for line in text.splitlines() if "# FILL IN" in line}
    assert marked == wanted


@pytest.mark.real
def test_what_it_writes_runs(invoke: Invoke, start: Start, here: Path) -> None:
    invoke("init", "local", here / "new")
    run = start("--config", "new/config.yml", "--until-settled")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, out + err
    assert (here / "new" / "results" / "hello" / "1" / "out" / "when.txt").exists()
    assert "hello from hello" in invoke("logs", "hello", "--config", "new/config.yml").stdout


def test_a_healthy_deployment(invoke: Invoke, here: Path) -> None:
    before = tree(here)
    told = invoke("doctor", "--json")
    found = json.loads(told.stdout)
    assert told.exit_code == 0, found
    assert {each["check"] for each in found} >= {
        "python",
        "tools",
        "/proc",
        "config",
        "pool cpu",
        "database",
        "results",
    }
    assert {each["result"] for each in found} == {"ok"}
    assert tree(here) == before


def test_doctor_names_what_is_wrong(invoke: Invoke, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    (here / "results").write_text("in the way")
    told = invoke("doctor", "--json")
    assert told.exit_code == 1
    wrong = {each["check"]: each["text"] for each in json.loads(told.stdout) if each["result"] == "problem"}
    assert set(wrong) == {"tools", "results"}
    assert "setsid (util-linux)" in wrong["tools"]


@pytest.mark.parametrize(
    ("file", "text", "check"),
    [
        ("config.yml", "controller: tests\n", "config"),
        ("specs/cpu.yml", POOL.replace("0..2", "-1"), "pools"),
        ("tests.db", "no database\n" * 100, "database"),
    ],
)
def test_doctor_tells_a_wrong_configuration_apart(invoke: Invoke, here: Path, file: str, text: str, check: str) -> None:
    (here / file).write_text(text)
    told = invoke("doctor", "--json")
    assert told.exit_code == 2
    assert {each["check"] for each in json.loads(told.stdout) if each["result"] == "problem"} == {check}
