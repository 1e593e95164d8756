"""docs/ramp.md is held to the code: RAMP's commands with their options, Python that imports, YAML that loads."""

import shlex
from pathlib import Path

import click
import pytest

from reconciler.cli.ramp_commands import ramp_aws_train, ramp_aws_train_loop, ramp_launch
from reconciler.spec.loader import load_config
from tests.docs.test_pages import ROOT, fenced

PAGE = ROOT / "docs" / "ramp.md"
COMMANDS = {"ramp_aws_train": ramp_aws_train, "ramp_aws_train_loop": ramp_aws_train_loop, "ramp-launch": ramp_launch}
LINES = [line for block in fenced(PAGE, "console") for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for line in LINES if line.split()[0] in COMMANDS])
def test_a_documented_command_of_ramps_is_understood(line: str) -> None:
    name, *words = shlex.split(line)
    command: click.Command = COMMANDS[name]
    context = command.make_context(name, list(words), resilient_parsing=False)
    if isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, words)
        assert found is not None
        found.make_context(words[0], rest, parent=context)


def test_each_of_ramps_commands_is_documented() -> None:
    documented = {tuple(line.split()[: 2 if line.startswith("ramp-launch") else 1]) for line in LINES}
    wanted = {("ramp_aws_train",), ("ramp_aws_train_loop",), *(("ramp-launch", each) for each in ramp_launch.commands)}
    assert wanted <= documented


@pytest.mark.parametrize("block", fenced(PAGE, "python"))
def test_the_imports_on_the_page_work(block: str) -> None:
    imports = "\n".join(line for line in block.splitlines() if not line.startswith(("conf", "launch_", "train_")))
    found: dict[str, object] = {}
    exec(compile(imports, str(PAGE), "exec"), found)
    compile(block, str(PAGE), "exec")
    assert any(callable(value) for name, value in found.items() if name != "__builtins__")


def test_the_route_on_the_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAMP_IRIS_DATABASE_PASSWORD", "p%40ss")
    (block,) = fenced(PAGE, "yaml")
    (tmp_path / "specs").mkdir()
    (tmp_path / "config.yml").write_text(f"controller: iris\npools: specs\n{block}")
    (event,) = load_config(tmp_path / "config.yml").ramp
    assert [(each.team, each.name, each.pool) for each in event.route] == [
        ("deep_learners", "", "iris-gpu"), ("", "cnn_*", "iris-gpu")
    ]  # fmt: skip


def test_the_documented_extras_are_the_distributions() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert "'ec2-reconciler[ramp,postgres]'" in PAGE.read_text()
    assert 'name = "ec2-reconciler"' in project
    assert all(f"\n{extra} = [" in project for extra in ("ramp", "postgres"))
