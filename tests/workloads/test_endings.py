"""What people are told of outputs that were refused."""

from pathlib import Path

import pytest

from reconciler.model.job import Collected
from reconciler.workloads.endings import ended_badly
from tests.workloads.work_cases import ORDERS, exited


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("big: over the limit of 209715200 bytes", "big: over the limit of 200 MiB"),
        ("big: over the limit of 1500000000 bytes", "big: over the limit of 1.397 GiB"),
        ("big: over the limit of 100 bytes", "big: over the limit of 100 bytes"),
        ("2048 bytes: over the limit of 10 files", "2048 bytes: over the limit of 10 files"),
    ],
)
def test_a_limit_is_told_in_the_units_of_people(tmp_path: Path, refused: str, said: str) -> None:
    verdict = ended_badly(
        ORDERS, exited(0), Collected(report=exited(0), log=tmp_path / "log", outputs=(), refused=(refused,))
    )
    assert verdict is not None
    assert verdict.message == f"an output was refused: {said}"
