"""Bad input ends with status 2, one clear message for each thing that is wrong, and nothing written."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.store.store import Store
from tests.cli.cli_rows import CONFIG, POOL, Invoke, submission, tree

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

# What is wrong → how config.yml is spoilt, and what the message says.
CONFIGS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "config.yml:1:1: "),
    "binary": (b"\x00\x01\x02\xff", "config.yml:1:1: "),
    "not utf-8": (b"controller: \xff\xfe\n", "config.yml:1:"),
    "half written": (CONFIG[: CONFIG.index("submissions/")].encode(), "config.yml:"),
    "tabs": (b"controller:\ttests\npools:\n\tspecs/\n", "config.yml:"),
    "duplicate key": (CONFIG.encode() + b"pools: others/\n", "config.yml:7:1: "),
    "misspelt key": (CONFIG.replace("results:", "resluts:").encode(), "did you mean results?"),
    "unknown key": (CONFIG.encode() + b"colour: red\n", "config.yml:7:1: there is no key 'colour'"),
    "wrong type": (CONFIG.replace("pools: specs/", "pools: [specs/]").encode(), "config.yml:3:8: "),
    "no unit": (CONFIG.replace("0.5s", "10").encode(), "config.yml:6:11: interval: the duration 10 has no unit"),
    "aliases that explode": (BOMB.encode() + CONFIG.encode(), "config.yml:"),
    "a python tag": (CONFIG.replace("tests\n", "!!python/object/apply:os.system [id]\n").encode(), "config.yml:1:13: "),
    "not a database": (CONFIG.replace("sqlite:///tests.db", "mysql://x/y").encode(), "config.yml:2:11: "),
    "a misspelt queue": (CONFIG.replace("submissions/", "submisions/").encode(), "config.yml:5:17: queue.folder: "),
    "an unknown pool": (CONFIG.replace("pool: cpu", "pool: gpu").encode(), "there is no pool 'gpu'; name one of cpu"),
}

SPECS: dict[str, tuple[str, str]] = {
    "empty": ("", "cpu.yml:1:1: "),
    "a negative size": (POOL.replace("0..2", "-1"), "cpu.yml:3:15: size.local: the size -1 is negative"),
    "a reversed size": (POOL.replace("0..2", "3..1"), "cpu.yml:3:15: size.local: "),
    "an unknown cloud": (POOL.replace("{local: {}}", "{lokal: {}}"), "did you mean local?"),
    "an unknown workload": (POOL.replace("script:", "skript:"), "did you mean script?"),
    "a misspelt key": (POOL.replace("size:", "sizee:"), "did you mean size?"),
    "a duration without a unit": (POOL + "idle: 10\n", "the duration 10 has no unit"),
    "a file that cannot be read": (
        POOL + "files: {/proc/self/mem: ~/x}\n",
        "cpu.yml:5:9: files: '/proc/self/mem' cannot be read: Input/output error; let us read all of it",
    ),
    "machines of others here": (POOL + "adopt: [x]\n", "cpu.yml:5:1: the local cloud has no machines of others"),
    "a size beyond all bounds": (
        POOL.replace("0..2", "99999999999999999999"),
        "the size 99999999999999999999 is too large; write 100000 at most",
    ),
    "two things": (POOL.replace("0..2", "-1") + "slots: 0\n", "cpu.yml:5:8: slots: 0 is out of range"),
}

COMMANDS = [["--once"], ["--until-settled"], ["--dry-run"], []]


def told_off(invoke: Invoke, here: Path, words: list[object], message: str) -> None:
    """The command ends with status 2 and a message, without a traceback, and writes nothing."""
    before = tree(here)
    told = invoke(*words)
    assert told.exit_code == 2, told.output
    assert message in told.stderr
    assert "Traceback" not in told.output
    assert told.stdout == ""
    assert tree(here) == before


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0] if words else "forever")
@pytest.mark.parametrize("what", CONFIGS)
def test_a_bad_config(invoke: Invoke, here: Path, what: str, words: list[object]) -> None:
    content, message = CONFIGS[what]
    (here / "config.yml").write_bytes(content)
    told_off(invoke, here, words, message)


@pytest.mark.parametrize("words", [*COMMANDS, ["submit", "work"]], ids=lambda words: words[0] if words else "forever")
@pytest.mark.parametrize("what", SPECS)
def test_a_bad_pool_spec_file(invoke: Invoke, here: Path, what: str, words: list[object]) -> None:
    content, message = SPECS[what]
    (here / "specs" / "cpu.yml").write_text(content)
    told_off(invoke, here, words, message)


def test_everything_that_is_wrong_is_told_at_once(invoke: Invoke, here: Path) -> None:
    (here / "specs" / "cpu.yml").write_text(SPECS["two things"][0])
    (here / "specs" / "gpu.yml").write_text(POOL.replace("cpu", "gpu").replace("script", "skript"))
    lines = invoke("--once").stderr.splitlines()
    assert [line.split("/")[-1].split(": ")[0] for line in lines] == ["cpu.yml:3:15", "cpu.yml:5:8", "gpu.yml:4:12"]


def test_two_pools_of_one_name(invoke: Invoke, here: Path) -> None:
    (here / "specs" / "twin.yml").write_text(POOL)
    told_off(invoke, here, ["--once"], "twin.yml:1:7: pool: there is another pool 'cpu', in cpu.yml")


@pytest.mark.parametrize("words", [["--once"], ["status"], ["submit", "x"], ["doctor"]], ids=lambda words: words[0])
def test_no_config(invoke: Invoke, here: Path, words: list[object]) -> None:
    (here / "config.yml").unlink()
    told_off(invoke, here, words, "there is no config.yml here: name one with --config FILE")
    told = invoke("--config", "other.yml", *words)
    assert told.exit_code == 2
    assert "other.yml:1:1: there is no such file" in told.output


@pytest.mark.parametrize("target", ["config.yml", "nowhere.yml"], ids=["a loop", "nowhere"])
@pytest.mark.parametrize("words", [[], ["--config", "config.yml"]], ids=["by default", "named"])
def test_a_config_that_is_a_link_to_nothing(invoke: Invoke, here: Path, target: str, words: list[object]) -> None:
    (here / "config.yml").unlink()
    (here / "config.yml").symlink_to(target)
    told_off(invoke, here, [*words, "status"], "config.yml: is a link that leads nowhere (")


def test_a_config_whose_name_is_too_long(invoke: Invoke, here: Path) -> None:
    told_off(invoke, here, ["status", "--config", "x" * 5000], f"--config {'x' * 60}…: File name too long")


def test_a_pool_whose_files_cannot_be_read_is_told_by_doctor(invoke: Invoke, here: Path) -> None:
    (here / "specs" / "cpu.yml").write_text(POOL + "files: {/proc/self/mem: ~/x}\n")
    told = invoke("doctor")
    assert told.exit_code == 2
    assert "cpu.yml:5:9" in told.stdout


def test_no_pools(invoke: Invoke, here: Path) -> None:
    (here / "specs" / "cpu.yml").unlink()
    told_off(invoke, here, ["--once"], "holds no pool spec file")


def not_one(file: Path) -> None:
    file.write_text("this is no database, but some text that somebody wrote into a file\n" * 100)


def foreign_tables(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE books (title TEXT)")
    connection.close()


def another_controllers(file: Path) -> None:
    Store.open(f"sqlite:///{file}", controller="others").close()


def newer(file: Path) -> None:
    Store.open(f"sqlite:///{file}", controller="tests").close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE reconciler_version SET version_num = '9999'")
    connection.close()


@pytest.mark.parametrize("words", [["--once"], ["status"], ["submit", "elsewhere/work"]], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (not_one, "is not a SQLite database"),
        (foreign_tables, "holds another program's tables (books)"),
        (another_controllers, "belongs to the controller 'others'"),
        (newer, "was written by a newer version"),
    ],
)
def test_a_database_that_is_not_ours(
    invoke: Invoke, here: Path, spoil: Callable[[Path], None], message: str, words: list[object]
) -> None:
    submission(here, "true")
    spoil(here / "tests.db")
    before = (here / "tests.db").read_bytes()
    told = invoke(*words)
    assert told.exit_code == 2
    assert message in told.stderr
    assert "Traceback" not in told.output
    assert (here / "tests.db").read_bytes() == before
    assert not (here / "results").exists()
    assert not (here / ".reconciler").exists()


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "..", ".", "a\nb", "-x", "x" * 300, "a b", "$(id)", "a;b", "`id`", "a'b", "\x1b[31m", "größe", "*"],
)
def test_a_bad_name(invoke: Invoke, here: Path, name: str) -> None:
    folder = submission(here, "true")
    told_off(invoke, here, ["submit", str(folder), f"--name={name}"], "name")
    told = invoke("submit", str(folder), f"--name={name}")
    assert len(told.stderr.splitlines()) == 1
    assert "\x1b" not in told.stderr


def link_out(folder: Path) -> None:
    (folder / "passwd").symlink_to("/etc/passwd")


def a_fifo(folder: Path) -> None:
    os.mkfifo(folder / "fifo")


def no_folder(folder: Path) -> None:
    (folder / "run.sh").unlink()
    folder.rmdir()


def bad_options(folder: Path) -> None:
    (folder / "submission.yml").write_text("priorty: 3\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (link_out, "passwd is a link that leads out of the folder"),
        (a_fifo, "fifo is not a regular file"),
        (no_folder, "cannot be read"),
        (bad_options, "submission.yml:1:1: there is no key 'priorty'"),
    ],
)
def test_a_bad_folder(invoke: Invoke, here: Path, spoil: Callable[[Path], None], message: str) -> None:
    folder = submission(here, "true")
    spoil(folder)
    before = sorted(str(path) for path in here.rglob("*"))
    told = invoke("submit", "elsewhere/work")
    assert told.exit_code == 2
    assert message in told.stderr
    assert sorted(str(path) for path in here.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pool", "gpu"], "there is no pool 'gpu'; name one of: cpu"),
        (["--limit", "10"], "--limit: the duration '10' has no unit"),
        (["--limit", "soon"], "--limit: 'soon' is not a duration"),
        (["--priority", "many"], "'many' is not a valid integer"),
        (["--priority", "9999999"], "--priority: 9999999 is out of range"),
        (["--env", "SEED"], "--env SEED: write NAME=VALUE"),
        (["--env", "1X=2"], "--env: '1X' is not the name of an environment variable"),
        (["--env", "RECONCILER_POOL=x"], "--env: 'RECONCILER_POOL' is set by the reconciler"),
        (["--type", "a b"], "--type: "),
    ],
)
def test_bad_options_of_submit(invoke: Invoke, here: Path, words: list[str], message: str) -> None:
    submission(here, "true")
    told_off(invoke, here, ["submit", "elsewhere/work", *words], message)


@pytest.mark.parametrize("words", [["show", "x"], ["logs", "x"], ["cancel", "x"], ["retry", "x"], ["history", "x"]])
def test_a_name_that_nobody_knows(invoke: Invoke, here: Path, words: list[object]) -> None:
    told_off(invoke, here, words, "there is no submission")


def test_an_instance_that_nobody_knows(invoke: Invoke, here: Path) -> None:
    told_off(invoke, here, ["drain", "x", "--yes"], "there is no instance 'x'")


def test_a_results_folder_that_cannot_be_made_is_status_1(invoke: Invoke, here: Path) -> None:
    (here / "results").write_text("a file is in the way")
    told = invoke("--once")
    assert told.exit_code == 1
    assert f"{here / 'results'}: results cannot be written here" in told.stderr
    assert "Traceback" not in told.output
    assert (here / "results").read_text() == "a file is in the way"


def test_a_database_that_cannot_be_made_is_status_1(invoke: Invoke, here: Path) -> None:
    (here / "config.yml").write_text(CONFIG.replace("tests.db", "nowhere/tests.db"))
    told = invoke("--once")
    assert told.exit_code == 1
    assert "cannot be opened; is its folder there" in told.stderr
