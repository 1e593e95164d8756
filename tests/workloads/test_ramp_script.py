"""The job's script in every shell that it must run in, with a RAMP tool that writes down how it was called."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.spec.options import Ramp
from reconciler.workloads.ramp import RampWorkload
from tests.workloads.stand_in import conda
from tests.workloads.work_cases import ORDERS

# Stands in for ramp-test: says where it is and how it was called, and leaves a result of its own.
TOOL = """#!/bin/sh
{ printf '%s\\n' "${0##*/}" "$@"; } >"$RECORD/arguments"
pwd >"$RECORD/folder"
ls -A >"$RECORD/around"
cat "submissions/$RECONCILER_SUBMISSION/estimator.py" >"$RECORD/estimator"
mkdir -p "submissions/$RECONCILER_SUBMISSION/training_output/fold_0"
env >"$RECORD/environment"
exit "${CODE:-0}"
"""
MPROF = """#!/bin/sh
printf '%s\\n' "$@" >"$RECORD/mprof"
while [ "$1" != /bin/sh ]; do shift; done
"$@"
exit 0
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def tool(folder: Path, name: str, text: str = TOOL) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A machine's home with a kit."""
    home = tmp_path / "home of the machine"
    for name in ("kit/data/train.csv", "kit/problem.py", "kit/.hidden", "kit/submissions/starting_kit/estimator.py"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"# {name}\n")
    return home


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A job's work folder, with what was submitted: among it, outputs of the participant's own runs."""
    work = tmp_path / "job s" / "work"
    for name in ("estimator.py", "training_output/fold_9/error.txt", "mprof.dat", ".ramp/kit/old"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(f"# mine: {name}\n")
    return work


@pytest.fixture(params=["dash", "bash --posix", "busybox sh"])
def run(request: pytest.FixtureRequest, tmp_path: Path, home: Path, work: Path) -> Run:
    shell = request.param.split()
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    path = tmp_path / "path"
    path.mkdir()
    if shell[0] == "busybox":
        subprocess.run(["busybox", "--install", "-s", path], check=True)
    (tmp_path / "record").mkdir()
    script = tmp_path / "command"
    script.write_text(RampWorkload(Ramp(kit="~/kit")).job(ORDERS, tmp_path).command)

    def run(**settings: str) -> "subprocess.CompletedProcess[str]":
        environ = {
            "HOME": str(home),
            "PATH": str(path) if shell[0] == "busybox" else f"{path}:/usr/bin:/bin",
            "RECORD": str(tmp_path / "record"),
            "RECONCILER_SUBMISSION": "good",
            "RECONCILER_RAMP_KIT": "~/kit",
            **settings,
        }
        return subprocess.run([shutil.which(shell[0]) or "", *shell[1:], script], cwd=work, env=environ,
                              capture_output=True, text=True, timeout=60)  # fmt: skip

    return run


@pytest.fixture
def record(tmp_path: Path) -> Callable[[str], list[str]]:
    return lambda name: (tmp_path / "record" / name).read_text().splitlines()


Record = Callable[[str], list[str]]


def test_ramp_test_gets_the_kit_and_only_this_submission(run: Run, record: Record, home: Path, work: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    outcome = run()
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert record("arguments") == [
        "ramp-test", "--submission", "good", "--ramp-kit-dir", f"{home}/kit", "--ramp-data-dir", f"{home}/kit",
        "--ramp-submission-dir", f"{work}/.ramp/submissions", "--save-output",
    ]  # fmt: skip
    assert [each.name for each in (work / ".ramp" / "submissions").iterdir()] == ["good"]
    assert record("estimator") == ["# mine: estimator.py"]
    assert {"TERM=dumb", "PYTHONUNBUFFERED=1", f"RECONCILER_RAMP_KIT={home}/kit"} <= set(record("environment"))


def test_it_runs_in_a_kit_of_its_own(run: Run, record: Record, home: Path, work: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    run()
    assert record("folder") == [str(work / ".ramp" / "kit")]
    assert record("around") == [".hidden", "data", "problem.py", "submissions"]
    assert [each.name for each in (home / "kit" / "submissions").iterdir()] == ["starting_kit"]


def test_outputs_that_were_submitted_are_no_results(run: Run, home: Path, work: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    run()
    assert [str(each.relative_to(work)) for each in work.glob("training_output/*")] == ["training_output/fold_0"]
    assert not (work / "mprof.dat").exists()


def test_an_old_machine_has_another_tool_with_other_options(run: Run, record: Record, home: Path) -> None:
    tool(home / ".local" / "bin", "ramp_test_submission")
    assert run().returncode == 0
    assert record("arguments") == ["ramp_test_submission", "--submission", "good", "--save-y-preds"]
    assert record("estimator") == ["# mine: estimator.py"]


def test_the_exit_code_is_the_tools(run: Run, home: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    assert run(CODE="7").returncode == 7


def test_the_machines_profile_is_read_and_its_venv_comes_first(run: Run, record: Record, home: Path) -> None:
    tool(home / "other", "ramp-test")
    tool(home / "venv" / "bin", "ramp-test", "#!/bin/sh\nexit 9\n")
    tool(home / "env" / "bin", "ramp-test")
    (home / ".profile").write_text('PATH=$HOME/other:$PATH\nexport FROM_PROFILE=yes\ncd /\nfalse\n')  # fmt: skip
    assert run().returncode == 0
    assert "FROM_PROFILE=yes" in record("environment")


def test_data_may_lie_elsewhere(run: Run, record: Record, home: Path, work: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    (home / "private" / "data").mkdir(parents=True)
    assert run(RECONCILER_RAMP_DATA="~/private").returncode == 0
    assert f"{home}/private" in record("arguments")
    assert (work / ".ramp" / "kit" / "data").resolve() == home / "private" / "data"


def test_a_command_takes_the_tools_place(run: Run, record: Record, home: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    command = 'ramp-test --submission "$RECONCILER_SUBMISSION" --quick-test; exit 5'
    assert run(RECONCILER_RAMP_COMMAND=command).returncode == 5
    assert record("arguments") == ["ramp-test", "--submission", "good", "--quick-test"]


def test_no_value_is_ever_taken_for_shell(run: Run, record: Record, home: Path, work: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    kit = (home / "kit").rename(home / "$(touch gone) 'k\"it; *")
    name = "$(touch gone)`touch gone`;*"
    assert run(RECONCILER_RAMP_KIT=str(kit), RECONCILER_SUBMISSION=name).returncode == 0
    assert record("arguments")[2:5] == [name, "--ramp-kit-dir", str(kit)]
    assert not list(home.parent.rglob("gone"))


@pytest.mark.parametrize("code", ["0", "7"])
def test_memory_is_recorded_and_the_exit_code_kept(run: Run, record: Record, home: Path, work: Path, code: str) -> None:
    tool(home / "env" / "bin", "ramp-test")
    tool(home / "env" / "bin", "mprof", MPROF)
    assert run(RECONCILER_RAMP_MEMORY="yes", CODE=code).returncode == int(code)
    assert record("mprof")[:4] == ["run", "--include-children", "--output", str(work / "mprof.dat")]
    assert record("arguments")[:3] == ["ramp-test", "--submission", "good"]


def test_a_profiler_that_fails_is_no_success(run: Run, home: Path) -> None:
    tool(home / "env" / "bin", "ramp-test")
    tool(home / "env" / "bin", "mprof", "#!/bin/sh\nexit 0\n")
    assert run(RECONCILER_RAMP_MEMORY="yes").returncode == 1


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"RECONCILER_RAMP_KIT": "~/nowhere"}, 2, "ramp: there is no kit in {home}/nowhere: bring it with files: or"),
        ({}, 127, "ramp: neither ramp-test nor ramp_test_submission is here: install ramp-workflow"),
        (
            {"RECONCILER_RAMP_COMMAND": "true", "RECONCILER_RAMP_MEMORY": "yes"},
            127,
            "ramp: there is no mprof for memory_profiling: install memory_profiler",
        ),
    ],
)
def test_what_is_missing_is_said(run: Run, home: Path, settings: dict[str, str], code: int, message: str) -> None:
    outcome = run(**settings)
    assert outcome.returncode == code
    assert outcome.stderr.startswith(message.format(home=home))


PYTHON = """#!/bin/sh
[ "$1" != -c ] || exit "${RAMP_IS_MISSING:-0}"
shift
exec "${0%/*}/hidden/ramp-test" "$@"
"""


def test_a_conda_environments_tool_is_called_as_ramps_own_worker_does(run: Run, record: Record, home: Path) -> None:
    prefix = home / "miniconda3" / "envs" / "iris"
    program = conda(home / "miniconda3")
    tool(prefix / "bin", "ramp-test")
    tool(home / "env" / "bin", "ramp-test", "#!/bin/sh\nexit 9\n")
    assert run(RECONCILER_CONDA_ENV="iris", CONDA_EXE=str(program)).returncode == 0
    assert record("arguments")[-2:] == ["--save-output", "--ignore-warning"]
    told = {f"CONDA_PREFIX={prefix}", "CONDA_DEFAULT_ENV=iris"}
    assert told <= set(record("environment"))
    assert any(line.startswith(f"PATH={prefix}/bin:") for line in record("environment"))


@pytest.mark.parametrize("name", ["ramp-test", "ramp_test_submission"])
@pytest.mark.parametrize("setting", ["RECONCILER_VENV", "RECONCILER_PYTHON"])
def test_the_tool_is_of_the_environment(run: Run, record: Record, home: Path, name: str, setting: str) -> None:
    tool(home / "mine" / "bin", name)
    tool(home / "mine" / "bin", "python", PYTHON)
    tool(home / "env" / "bin", "ramp-test", "#!/bin/sh\nexit 9\n")
    place = "~/mine" if setting == "RECONCILER_VENV" else "~/mine/bin/python"
    assert run(**{setting: place}).returncode == 0
    assert record("arguments")[0] == name
    assert "--ignore-warning" not in record("arguments")


def test_an_interpreter_runs_ramps_module(run: Run, record: Record, home: Path) -> None:
    tool(home / "mine", "python3.11", PYTHON)
    tool(home / "mine" / "hidden", "ramp-test")
    assert run(RECONCILER_PYTHON="~/mine/python3.11").returncode == 0
    assert record("arguments")[:4] == ["ramp-test", "rampwf.utils.cli.testing", "--submission", "good"]


@pytest.mark.parametrize("setting", ["RECONCILER_VENV", "RECONCILER_PYTHON"])
def test_no_other_environments_tool_is_taken(run: Run, record: Record, home: Path, setting: str) -> None:
    tool(home / "env" / "bin", "ramp-test")
    tool(home / "mine" / "bin", "python", PYTHON)
    place = "~/mine" if setting == "RECONCILER_VENV" else "~/mine/bin/python"
    outcome = run(**{setting: place}, RAMP_IS_MISSING="1")
    assert outcome.returncode == 127
    missing = f"ramp: neither ramp-test nor ramp_test_submission is in {home}/mine/bin: install ramp-workflow"
    assert outcome.stderr.startswith(missing)


def test_a_command_runs_in_the_environment(run: Run, record: Record, home: Path) -> None:
    tool(home / "mine" / "bin", "ramp-test")
    tool(home / "mine" / "bin", "python", PYTHON)
    command = 'ramp-test --submission "$RECONCILER_SUBMISSION" --quick-test'
    assert run(RECONCILER_VENV="~/mine", RECONCILER_RAMP_COMMAND=command).returncode == 0
    assert record("arguments") == ["ramp-test", "--submission", "good", "--quick-test"]
