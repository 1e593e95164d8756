"""`--help` is quick, complete and documented; completion and hints work."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.cli import main
from reconciler.cli.root import COMMANDS
from reconciler.store.store import Store
from tests.store.store_rows import fill, instance, submission

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
HEAVY = (
    "sqlalchemy",
    "alembic",
    "boto3",
    "botocore",
    "asyncssh",
    "transitions",
    "watchfiles",
    "ruamel",
    "cattrs",
    "rich",
)


def helped(*words: str) -> str:
    told = CliRunner().invoke(main, [*words, "--help"], prog_name="reconcile")
    assert told.exit_code == 0, told.output
    return told.output


def command(name: str) -> click.Command:
    return main.commands[name] if name else main


@pytest.mark.parametrize("words", [["--help"], ["submit", "--help"], ["status", "--help"], ["--version"]])
def test_help_imports_no_database_cloud_or_yaml(words: list[str]) -> None:
    script = (
        "import sys\nfrom reconciler.cli import main\n"
        f"try: main({words!r}, prog_name='reconcile')\nexcept SystemExit: pass\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.rpartition("LOADED")[2].split())
    assert "click" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_help_has_examples_that_name_the_command(name: str) -> None:
    examples = helped(*([name] if name else [])).partition("Examples:\n")[2]
    assert re.search(rf"^ +(\S+ && )?.*reconcile {name}", examples, flags=re.MULTILINE)


def test_the_overview_lists_every_command() -> None:
    overview = helped()
    for name, known in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(known.about)}$", overview, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_and_option_is_documented(name: str) -> None:
    heading = rf"^## `reconcile {name}[ `]" if name else r"^## `reconcile`$"
    parts = re.split(r"(?m)^(?=## )", DOCUMENTED)
    section = next(part for part in parts if re.match(heading, part, flags=re.MULTILINE))
    common = next(part for part in parts if part.startswith("## What all have in common"))
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            place = common if parameter.name in ("config", "help") else section
            for flag in parameter.opts:
                assert f"`{flag}" in place, f"{flag} of reconcile {name}"


def test_nothing_is_documented_that_is_not_there() -> None:
    for name in re.findall(r"(?m)^## `reconcile (\w+)", DOCUMENTED):
        assert name in COMMANDS
    for section in re.split(r"(?m)^(?=## )", DOCUMENTED):
        if found := re.match(r"## `reconcile ?(\w*)", section):
            flags = {flag for parameter in command(found[1]).params for flag in parameter.opts}
            for flag in re.findall(r"(?m)^\| .*?(--[a-z-]+)", section):
                assert flag in flags, f"{flag} of reconcile {found[1]}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["instnces"], "'instances'"), (["status", "--jsn"], "'--json'"), (["--unti-settled"], "'--until-settled'")],
)
def test_a_misspelt_word_gets_a_hint(words: list[str], hint: str) -> None:
    told = CliRunner().invoke(main, words, prog_name="reconcile")
    assert told.exit_code == 2
    assert f"Did you mean {hint}" in told.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_completion_is_there(shell: str) -> None:
    assert f"_RECONCILE_COMPLETE={shell}_source reconcile" in DOCUMENTED
    environ = {**os.environ, "_RECONCILE_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-c", "from reconciler.cli import main; main(prog_name='reconcile')"]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert "reconcile" in told.stdout
    assert "_RECONCILE_COMPLETE" in told.stdout


@pytest.mark.parametrize(
    ("line", "word", "wanted"),
    [("reconcile st", 1, "status"), ("reconcile status --js", 2, "--json"), ("reconcile init r", 2, "ramp")],
)
def test_completion_completes(line: str, word: int, wanted: str) -> None:
    environ = {**os.environ, "_RECONCILE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(word)}
    told = subprocess.run(
        [sys.executable, "-m", "reconciler"], env=environ, capture_output=True, text=True, check=False
    )
    assert f"plain,{wanted}" in told.stdout.splitlines()


def completed(here: Path, line: str, word: int) -> list[str]:
    """What bash offers for a word of a line, without the kind of each."""
    environ = {**os.environ, "_RECONCILE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(word)}
    told = subprocess.run(
        [sys.executable, "-m", "reconciler"], cwd=here, env=environ, capture_output=True, text=True, check=False
    )
    assert told.stderr == ""
    return [each.partition(",")[2] for each in told.stdout.splitlines() if each]


def test_names_of_rows_complete(here: Path, store: Store) -> None:
    fill(
        store, submission("good"), submission("other"), instance("cpu-1", state="ready", cloud_id="local-9"),
        instance("cpu-2", state="terminated"),
    )  # fmt: skip
    assert completed(here, "reconcile cancel go", 2) == ["good"]
    assert completed(here, "reconcile drain ", 2) == ["cpu-1"]
    assert completed(here, "reconcile ssh local", 2) == ["local-9"]
    assert completed(here, f"reconcile --config {here}/config.yml show ", 4) == ["good", "other", "cpu-1"]


@pytest.mark.parametrize("spoilt", ["config.yml", "tests.db", ""])
def test_completion_is_quiet_where_nothing_can_be_read(here: Path, spoilt: str) -> None:
    if spoilt:
        (here / spoilt).write_text("nonsense: [\n" * 100)
    assert completed(here, "reconcile show ", 2) == []
    assert (here / "tests.db").exists() == (spoilt == "tests.db")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--once", "--until-settled"], "--once and --until-settled exclude each other"),
        (["--once", "status"], "--once goes without a command"),
        (["cancel"], "Missing argument"),
        (["retry"], "name what to retry"),
        (["init", "gcp"], "'gcp' is not one of"),
        (["show", "a", "b"], "unexpected extra argument"),
    ],
)
def test_wrong_usage(words: list[str], problem: str) -> None:
    told = CliRunner().invoke(main, words, prog_name="reconcile")
    assert told.exit_code == 2
    assert problem in told.output
