"""Every kind of wrong file is refused at its place, in words that help, and never with another exception."""

import os
import re
from itertools import pairwise

import pytest

from reconciler.spec.errors import Problem, SpecError, redact
from reconciler.spec.loader import load_config, load_pool
from tests.spec.spec_examples import BAD, BAD_FOR_THE_LOADER, CONFIG, ENVIRON, POOL, load


def refused(kind, path):
    with pytest.raises(SpecError) as caught:
        load(kind, path)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return caught.value.problems


@pytest.mark.parametrize(("kind", "text", "where", "what", "hint"), BAD + BAD_FOR_THE_LOADER)
def test_a_wrong_file_is_refused_at_its_place(tmp_path, kind, text, where, what, hint):
    file = tmp_path / "file.yml"
    file.write_text(text)
    told = [str(problem) for problem in refused(kind, file)]
    wanted = re.compile(f"{re.escape(str(file))}:{where}: .*{re.escape(what)}.*; .*{re.escape(hint)}")
    assert any(wanted.match(line) for line in told), told


def test_all_that_is_wrong_is_told_in_the_order_of_the_file(tmp_path):
    file = tmp_path / "cpu.yml"
    file.write_text(
        "pool: CPU\n"
        "cloud: {local: {bot: 5s}}\n"
        "size: {local: 3..1, other: -1}\n"
        "slots: 0\n"
        "slots: 1\n"
        "env: {A: '${NOPE}'}\n"
        "workload: {script: {command: !x y}}\n"
        "idle: 5\n"
    )
    places = [(each.line, each.column) for each in refused("pool", file)]
    assert places == [(1, 7), (2, 17), (3, 15), (3, 28), (4, 8), (5, 1), (6, 10), (7, 30), (8, 7)]


def test_a_misspelt_required_key_is_told_once(tmp_path):
    file = tmp_path / "config.yml"
    file.write_text("controler: iris\npools: specs\n")
    assert [each.what for each in refused("config", file)] == ["there is no key 'controler' here"]


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (b"", "1:1", "the file is empty"),
        (b"# nothing yet\n", "1:1", "the file is empty"),
        (b"\x7fELF\x02\x01\x00\x00", "1:7", "binary"),
        (b"controller: iris\npools: \xff\xfe\n", "2:8", "not UTF-8"),
        ("controller: iris\n".encode("utf-16"), "1:4", "binary"),
        (b"controller: iris\npools: a\x1bb\n", "2:9", "the control character U+001B"),
        (b"a: " + b"x" * 300_000, "1:1", "larger than 256 KiB"),
        (b"[" * 100_000, "1:21", "nested more than 20 deep"),
        (b"- " * 50_000, "1:41", "nested more than 20 deep"),
        (b"{a: " * 5_000, "1:81", "nested more than 20 deep"),
        (b"controller: iris\npools: [a, ", "2:12", "not YAML"),
        (b"%YAML 7.0\n---\na: b\n", "1:1", "not YAML"),
    ],
)
def test_what_is_no_text_or_no_yaml_is_refused(tmp_path, content, where, what):
    file = tmp_path / "config.yml"
    file.write_bytes(content)
    problem = refused("config", file)[0]
    assert f"{problem.line}:{problem.column}" == where
    assert what in problem.what


def test_aliases_that_explode_are_refused(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join(['*' + before] * 9)}]" for before, name in pairwise("abcdefghi")]
    file = tmp_path / "config.yml"
    file.write_text("\n".join(lines))
    assert "holds more than 10000 values" in refused("config", file)[-1].what


def test_a_file_that_is_not_there_or_is_none(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert "there is no such file" in str(refused("config", tmp_path / "gone.yml")[0])
    assert "not a file" in str(refused("config", tmp_path)[0])
    assert "not a file" in str(refused("config", tmp_path / "fifo")[0])
    assert "cannot be read" in str(refused("config", tmp_path / "a\0b")[0])


@pytest.mark.parametrize(
    "line",
    [
        "database: mysql://me:hunter2@db/iris",
        "database: postgresql://me:${PASSWORD}@db",
        "database: [postgresql://me:hunter2@db/iris]",
        "controller: postgresql://me:hunter2@db/iris",
        "postgresql://me:hunter2@db/iris: x",
        "interval: ${PASSWORD}",
        "queue: {pool: '${PASSWORD}!'}",
        "hooks: {'${PASSWORD}': x}",
        "databse: postgresql://me:hunter2@db/iris",
        "interval: postgresql://me:hunter2@" + "x" * 80,
        "results: postgresql://me:hunter2@db/iris: x",
    ],
)
def test_no_error_gives_a_secret_away(tmp_path, line):
    file = tmp_path / "config.yml"
    file.write_text(CONFIG + line + "\n")
    assert "hunter2" not in "\n".join(map(str, refused("config", file)))


def test_no_error_gives_a_path_from_the_environment_away(tmp_path):
    file = tmp_path / "cpu.yml"
    file.write_text(POOL + "files: {'${PASSWORD}': ~/kit}\n")
    with pytest.raises(SpecError, match=r"there is no '.{0,3}PASSWORD.'") as caught:
        load_pool(file, environ=ENVIRON)
    assert "hunter2" not in str(caught.value)


def test_an_error_cannot_steer_the_terminal(tmp_path):
    file = tmp_path / "config.yml"
    file.write_text(CONFIG + 'interval: "\\e[31m"\n"\\e[2J": x\n')
    assert "\x1b" not in "\n".join(map(str, refused("config", file)))
    assert redact("a\x1b[2J\nb") == "a\\x1b[2J\\nb"


def test_a_problem_reads_as_one_line(tmp_path):
    assert str(Problem(tmp_path / "a\nb.yml", 3, 7, "it is wrong", "mend it")) == (
        f"{tmp_path}/a\\nb.yml:3:7: it is wrong; mend it"
    )


def test_errors_name_the_file_as_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").write_text("a: b\n")
    with pytest.raises(SpecError, match=r"^config\.yml:1:1: "):
        load_config((tmp_path / "config.yml").relative_to(tmp_path))
