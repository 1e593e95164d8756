"""What holds for every workload; a new one is one line in CASES."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from reconciler.hosts.upload import job_entries
from reconciler.model.job import Folder, JobReport
from reconciler.model.rows import Outcome
from reconciler.spec.canonical import UnreadableSpec, to_json
from reconciler.spec.errors import Wrong
from reconciler.spec.options import WORKLOADS as OPTIONS
from reconciler.spec.options import Ramp, Script
from reconciler.workloads import WORKLOADS, workload
from reconciler.workloads.base import Workload
from tests.workloads.work_cases import GONE, KILLED, ORDERS, TIMED_OUT, brought, exited

CASES: Mapping[str, object] = MappingProxyType(
    {
        "script": Script(command="sh run.sh", outputs=("out/**",)),
        "ramp": Ramp(kit="~/kit", memory_profiling=True, command=None, data="/data"),
    }
)
# The settings that name an environment are every workload's that runs on the machine itself.
ENVIRONMENTS = (
    {"conda_env": "iris"},
    {"venv": "~/env"},
    {"python": "/usr/bin/python3"},
)


@pytest.fixture(params=CASES)
def work(request: pytest.FixtureRequest) -> Workload:
    return workload(request.param, to_json(CASES[request.param]))


def test_every_kind_is_registered_where_the_loader_looks_and_tested_here() -> None:
    assert {kind: options for kind, (options, _) in WORKLOADS.items()} == dict(OPTIONS)
    assert CASES.keys() == WORKLOADS.keys()


@pytest.mark.parametrize("kind", CASES)
def test_frozen_settings_come_back(kind: str) -> None:
    assert workload(kind, to_json(CASES[kind])).settings == CASES[kind]  # type: ignore[attr-defined]


@pytest.mark.parametrize("named", ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["script", "ramp"])
def test_an_environment_is_told_by_variables_alone(tmp_path: Path, kind: str, named: dict[str, str]) -> None:
    settings = evolve(CASES[kind], **named)  # type: ignore[type-var]
    job = workload(kind, to_json(settings)).job(ORDERS, tmp_path)
    assert set(named.values()) <= set(job.env.values())
    assert not any(value in job.command for value in named.values())
    assert "\nuse_environment\n" in job.command


@pytest.mark.parametrize("kind", ["script", "ramp"])
def test_two_environments_are_refused(kind: str) -> None:
    with pytest.raises(Wrong) as caught:
        evolve(CASES[kind], venv="~/env", conda_env="iris")  # type: ignore[type-var]
    assert (caught.value.what, caught.value.hint) == ("conda_env and venv name an environment each", "keep one of them")


@pytest.mark.parametrize("name", ["/opt/iris", "a b", "..", "a:b", "a#b"])
def test_a_conda_environment_has_a_name(name: str) -> None:
    with pytest.raises(Wrong, match="is not the name of a conda environment"):
        Ramp(kit="~/kit", conda_env=name)


@pytest.mark.parametrize(("kind", "settings"), [("docker", "{}"), ("script", "{"), ("ramp", "{}")])
def test_what_this_version_cannot_read_is_said(kind: str, settings: str) -> None:
    with pytest.raises(UnreadableSpec):
        workload(kind, settings)


def test_a_job_is_what_was_frozen(work: Workload, tmp_path: Path) -> None:
    job = work.job(ORDERS, tmp_path)
    assert (job.id, job.limit, job.folder, job.runs_in) == ("s1.1", 7200.0, tmp_path, Folder.WORK)
    assert (job.output_limits.bytes, job.output_limits.files) == (1000, 10)
    told = {"OMP_NUM_THREADS": "1", "RECONCILER_SUBMISSION": "good", "RECONCILER_ATTEMPT": "s1.1"}
    assert {**told, "RECONCILER_POOL": "iris"}.items() <= job.env.items()
    assert job == work.job(ORDERS, tmp_path)


def test_a_host_takes_the_job(work: Workload, tmp_path: Path) -> None:
    (tmp_path / "estimator.py").write_text("pass\n")
    names = [entry.name for entry in job_entries(work.job(ORDERS, tmp_path))]
    assert {"work/estimator.py", "spec/command", "spec/env/RECONCILER_SUBMISSION"} <= set(names)


def test_an_environment_of_the_pool_never_hides_who_the_job_is(work: Workload, tmp_path: Path) -> None:
    job = work.job(evolve(ORDERS, env={"RECONCILER_ATTEMPT": "another"}), tmp_path)
    assert job.env["RECONCILER_ATTEMPT"] == "s1.1"


@pytest.mark.parametrize(
    ("report", "outcome", "message"),
    [
        (TIMED_OUT, Outcome.TIMEOUT, "it reached its time limit of 2h: still at epoch 7"),
        (KILLED, Outcome.LOST, "it was ended before it was done: still at epoch 7"),
        (GONE, Outcome.LOST, "it is gone: its machine was started anew, or something there ended it: still at epoch 7"),
    ],
)
def test_a_job_that_did_not_end_by_itself(
    work: Workload, tmp_path: Path, report: JobReport, outcome: Outcome, message: str
) -> None:
    verdict = work.verdict(ORDERS, report, tmp_path, brought(tmp_path, "\x1b[31mstill at epoch 7\x1b[0m\n"))
    assert (verdict.outcome, verdict.message) == (outcome, message)


@pytest.mark.parametrize("report", [exited(0), exited(1), TIMED_OUT, KILLED, GONE])
def test_a_refused_output_makes_it_invalid(work: Workload, tmp_path: Path, report: JobReport) -> None:
    collected = brought(tmp_path, "", refused=("out/x: a link", "out/\x1b[2Jy: a device"))
    verdict = work.verdict(ORDERS, report, tmp_path, collected)
    assert verdict.outcome == Outcome.INVALID
    assert verdict.message == "an output was refused: out/x: a link, and 1 more"


@given(log=st.binary(max_size=300), code=st.integers(0, 255))
def test_whatever_the_log_says_a_verdict_is_one_printable_line(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, code: int
) -> None:
    home = tmp_path_factory.getbasetemp() / "hostile"
    home.mkdir(exist_ok=True)
    for kind, settings in CASES.items():
        verdict = workload(kind, to_json(settings)).verdict(ORDERS, exited(code), home, brought(home, log))
        assert verdict.message.isprintable()
        assert verdict.outcome in {Outcome.SUCCEEDED, Outcome.EXIT_CODE, Outcome.INVALID}
        assert (verdict.outcome == Outcome.EXIT_CODE) == (code != 0)
