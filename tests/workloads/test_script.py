"""A script is judged by its exit code, and its failure told in its own words."""

from pathlib import Path

import pytest

from reconciler.model.rows import Outcome
from reconciler.spec.options import Script
from reconciler.workloads.script import ScriptWorkload
from tests.workloads.work_cases import ORDERS, brought, exited

WORK = ScriptWorkload(Script(command="sh run.sh", outputs=("out/**",)))


def test_the_command_is_the_pools_own(tmp_path: Path) -> None:
    job = WORK.job(ORDERS, tmp_path)
    assert (job.command, job.outputs) == ("sh run.sh", ("out/**",))


def test_exit_code_0_is_a_success_whatever_was_written(tmp_path: Path) -> None:
    verdict = WORK.verdict(ORDERS, exited(0), tmp_path, brought(tmp_path, "Error: not at all\n"))
    assert (verdict.outcome, verdict.message, verdict.scores) == (Outcome.SUCCEEDED, "", {})


@pytest.mark.parametrize(
    ("code", "log", "message"),
    [
        (3, "step 1\nValueError: boom\n", "exit code 3: ValueError: boom"),
        (137, "", "exit code 137 (SIGKILL)"),
        (255, "", "exit code 255"),
        (127, "sh: 1: nosuch: not found", "exit code 127: sh: 1: nosuch: not found"),
    ],
)
def test_a_failure_is_told_in_a_line(tmp_path: Path, code: int, log: str, message: str) -> None:
    verdict = WORK.verdict(ORDERS, exited(code), tmp_path, brought(tmp_path, log))
    assert (verdict.outcome, verdict.message) == (Outcome.EXIT_CODE, message)
