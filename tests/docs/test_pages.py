"""Documentation is held to the code: links lead somewhere, commands exist, YAML blocks load."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.spec.loader import load_config, load_pool

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")])


def fenced(page: Path, language: str) -> list[str]:
    """The code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands() -> list[str]:
    """Every `reconcile …` line of a console block anywhere in the documentation."""
    found: list[str] = []
    for page in PAGES:
        for block in fenced(page, "console"):
            for line in block.splitlines():
                line = line.removeprefix("$ ").split("  #")[0].strip()
                if line.startswith("reconcile "):
                    found.append(line)
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    from reconciler.cli import main

    words = shlex.split(line)[1:]
    known = set(main.commands)  # type: ignore[attr-defined]
    named = next((word for word in words if word in known), None)
    arguments = [named, "--help"] if named else ["--help"]
    told = CliRunner().invoke(main, arguments, prog_name="reconcile")
    assert told.exit_code == 0, told.output
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in told.output, f"{word} of {line!r} is not an option of it"


def test_the_readme_shows_files_that_load(tmp_path: Path) -> None:
    (block,) = fenced(ROOT / "README.md", "yaml")
    (tmp_path / "pools").mkdir()
    (tmp_path / "submissions").mkdir()
    for part in re.split(r"(?m)^# (?=[\w/]+\.yml$)", block)[1:]:
        name, _, text = part.partition("\n")
        (tmp_path / name).write_text(text)
    assert load_config(tmp_path / "config.yml").controller == "iris"
    assert load_pool(tmp_path / "pools" / "cpu.yml").pool == "cpu"
