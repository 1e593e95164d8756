"""docs/spec.md names every key with its default, and its examples load."""

import re
from pathlib import Path

import pytest

from reconciler.model.job import OutputLimits
from reconciler.spec import written
from reconciler.spec.forms import keys_of
from reconciler.spec.options import KINDS
from reconciler.spec.values import Config, Deadlines, Hook, Pool, Queue, RampEvent, Retries, Route, SubmissionOptions
from tests.spec.spec_examples import LOADERS

TEXT = (Path(__file__).parents[2] / "docs" / "spec.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
SECTIONS = {
    "## config.yml": Config,
    "### queue": Queue,
    "### ramp": RampEvent,
    "### route": Route,
    "### hooks": Hook,
    "## A pool spec file": Pool,
    "### deadlines": Deadlines,
    "### retries": Retries,
    "### outputs": OutputLimits,
    "## submission.yml": SubmissionOptions,
    **{f"### cloud: {kind}": cls for kind, cls in KINDS.clouds.items()},
    **{f"### workload: {kind}": cls for kind, cls in KINDS.workloads.items()},
}


@pytest.mark.parametrize(("heading", "cls"), SECTIONS.items())
def test_every_key_is_there_with_its_default(heading, cls):
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    section = re.split(r"\n#+ ", prose.partition(f"\n{heading}\n")[2])[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\S[^|]*) \| (\S[^|]*) \|$", section, re.MULTILINE)
    assert [(name, default) for name, default, _ in rows] == [(key.name, said(key)) for key in keys_of(cls).values()]


def said(key):
    default = written.default(key)
    if key.required or default is None:
        return "required" if key.required else "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_loads(tmp_path, block):
    (tmp_path / "specs").mkdir()
    (tmp_path / "kit").mkdir()
    name = block.partition("\n")[0].removeprefix("# ")
    kind = {"config.yml": "config", "submission.yml": "submission"}.get(name, "pool")
    (tmp_path / name).write_text(block)
    assert LOADERS[kind](tmp_path / name, environ={})


def test_there_are_examples_of_every_kind():
    names = {block.partition("\n")[0] for block in BLOCKS}
    assert {"# config.yml", "# submission.yml", "# specs/cpu.yml"} <= names
