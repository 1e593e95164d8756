"""RAMP's file is read again when it is edited; a wrong edit leaves what was good."""

import logging
from pathlib import Path

import pytest

from reconciler.compat.ramp_config import read
from reconciler.compat.ramp_specs import RampSpecs
from reconciler.spec.values import Size
from tests.compat.ramp_cases import CONDA, RAMP, SQLALCHEMY

DISPATCHER = "dispatcher: {n_workers: 2}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.yml").write_text(SQLALCHEMY + RAMP + CONDA + DISPATCHER)
    return tmp_path / "config.yml"


@pytest.fixture
def specs(config: Path) -> RampSpecs:
    return RampSpecs(deployment=read(config))


def high(specs: RampSpecs) -> Size:
    return specs.desired().pools["iris"].pool.size["local"]


def test_an_edit_counts(config: Path, specs: RampSpecs) -> None:
    assert high(specs) == Size(low=0, high=2)
    config.write_text(config.read_text().replace("n_workers: 2", "n_workers: 12"))
    assert high(specs) == Size(low=0, high=12)
    assert specs.desired().complete


def test_a_wrong_edit_is_told_and_counts_for_nothing(
    config: Path, specs: RampSpecs, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(config.read_text().replace("n_workers", "n_wrkers"))
    assert high(specs) == Size(low=0, high=2)
    assert "did you mean n_workers?" in specs.desired().pools["iris"].problem
    assert "did you mean n_workers?" in caplog.text
    config.write_text(SQLALCHEMY + RAMP + CONDA + "dispatcher: {n_workers: 5}\n")
    assert high(specs) == Size(low=0, high=5)
    assert specs.desired().pools["iris"].problem == ""


def test_a_file_that_is_gone_changes_nothing(config: Path, specs: RampSpecs) -> None:
    config.unlink()
    assert high(specs) == Size(low=0, high=2)


def test_what_only_a_start_reads_is_told(config: Path, specs: RampSpecs, caplog: pytest.LogCaptureFixture) -> None:
    config.write_text(config.read_text().replace("password: x", "password: sesame"))
    with caplog.at_level(logging.WARNING):
        specs.desired()
    assert "from the next start on" in caplog.text
    assert "sesame" not in caplog.text
