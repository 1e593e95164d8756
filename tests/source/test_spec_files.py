"""Pool files while the program runs: no wrong edit and no unreadable folder takes anything away."""

import logging
import os
from pathlib import Path

import pytest

from reconciler.source import SpecFiles
from reconciler.spec.loader import load_config
from reconciler.spec.values import Config

POOL = """\
pool: {name}
cloud: {{local: {{}}}}
size: {{m: {size}}}
workload: {{script: {{command: sh run.sh}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two pools."""
    (tmp_path / "pools").mkdir()
    for name in ("cpu", "gpu"):
        write(tmp_path / "pools" / f"{name}.yml", POOL.format(name=name, size="0..2"))
    return tmp_path / "pools"


def write(path: Path, text: str) -> None:
    """Edit a file as editors do: by renaming, so that it is another file."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def files(folder: Path) -> SpecFiles:
    return SpecFiles(config=Config(controller="test", pools=folder, state=folder.parent / "state"))


def test_an_edit_is_read_at_the_next_pass(folder: Path) -> None:
    specs = files(folder)
    assert specs.desired().pools["cpu"].pool.size["m"].high == 2
    write(folder / "cpu.yml", POOL.format(name="cpu", size="0..7"))
    assert specs.desired().pools["cpu"].pool.size["m"].high == 7


def test_a_wrong_edit_leaves_the_last_good_spec_in_force_and_says_where(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    specs = files(folder)
    before = specs.desired().pools["cpu"]
    write(folder / "cpu.yml", POOL.format(name="cpu", size="9..1"))
    with caplog.at_level(logging.WARNING):
        wish = specs.desired().pools["cpu"]
    assert wish.pool == before.pool
    assert "cpu.yml:3:" in wish.problem
    assert "cpu.yml:3:" in caplog.text
    assert not specs.desired().pools["gpu"].problem
    write(folder / "cpu.yml", POOL.format(name="cpu", size="1..9"))
    assert specs.desired().pools["cpu"].problem == ""


def test_a_file_that_a_pool_brings_and_that_cannot_be_read_is_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    specs = files(folder)
    before = specs.desired().pools["cpu"]
    write(folder / "cpu.yml", POOL.format(name="cpu", size="0..2") + "files: {/proc/self/mem: ~/x}\n")
    write(folder / "new.yml", POOL.format(name="new", size="0..2") + "files: {/proc/self/mem: ~/x}\n")
    with caplog.at_level(logging.WARNING):
        pools = specs.desired().pools
    assert pools["cpu"].pool == before.pool
    assert "cpu.yml:5:9" in pools["cpu"].problem
    assert "new" not in pools
    assert "new.yml:5:9" in caplog.text
    assert "last good" not in caplog.text


CONFIG = "controller: test\npools: pools/\n"


@pytest.fixture
def configured(folder: Path) -> SpecFiles:
    """The pools of a config.yml."""
    (folder.parent / "config.yml").write_text(CONFIG)
    specs = SpecFiles(config=load_config(folder.parent / "config.yml"))
    specs.desired()
    return specs


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (CONFIG + "interval: 1h\n", ""),
        (CONFIG + "interval: 1\n", "config.yml:3:11: "),
        (None, "config.yml:1:1: there is no such file"),
    ],
    ids=["good", "wrong", "gone"],
)
def test_an_edit_of_the_config_is_told_once(
    configured: SpecFiles, folder: Path, caplog: pytest.LogCaptureFixture, text: str | None, wrong: str
) -> None:
    file = folder.parent / "config.yml"
    before = configured.desired()
    if text is None:
        file.unlink()
    else:
        write(file, text)
    for _ in range(3):
        assert configured.desired() == before
    first, *others = [record.getMessage() for record in caplog.records]
    assert first == f"{file} changed: it is read at the start, so start again for it"
    assert [wrong in each for each in others] == [True] * bool(wrong)


def test_a_config_that_says_the_same_is_not_told_of(
    configured: SpecFiles, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder.parent / "config.yml", "# a comment\n" + CONFIG)
    configured.desired()
    assert not caplog.records


def test_a_deleted_file_takes_its_pool_away_and_no_other(folder: Path) -> None:
    specs = files(folder)
    specs.desired()
    (folder / "cpu.yml").unlink()
    desired = specs.desired()
    assert list(desired.pools) == ["gpu"]
    assert desired.complete


@pytest.mark.parametrize("damage", ["empty", "gone"])
def test_an_empty_or_unreadable_folder_changes_nothing(folder: Path, damage: str) -> None:
    specs = files(folder)
    before = specs.desired().pools
    for path in list(folder.iterdir()):
        path.unlink()
    if damage == "gone":
        folder.rmdir()
    desired = specs.desired()
    assert desired.pools == before
    assert not desired.complete
    folder.mkdir(exist_ok=True)
    write(folder / "cpu.yml", POOL.format(name="cpu", size="0..1"))
    mended = specs.desired()
    assert mended.complete
    assert list(mended.pools) == ["cpu"]


def test_files_are_read_only_when_they_changed(folder: Path) -> None:
    specs = files(folder)
    read: list[Path] = []
    load = specs.load
    specs.load = lambda where: read.append(where) or load(where)  # type: ignore[func-returns-value]
    for _ in range(5):
        specs.desired()
    assert len(read) == 1
    os.utime(folder / "cpu.yml", ns=(1, 1))
    specs.desired()
    assert len(read) == 2
