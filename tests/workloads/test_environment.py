"""A named environment is found, and put in front, in every shell that a job must run in."""

import os
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.spec.options import Ramp, Script
from reconciler.workloads.environment import named_environment, shell_lines
from reconciler.workloads.script import ScriptWorkload
from tests.workloads.stand_in import conda
from tests.workloads.work_cases import ORDERS

# Says where its programs come from, and what it was told.
COMMAND = """command -v python
printf '%s\\n' "PREFIX=${CONDA_PREFIX:-}" "NAME=${CONDA_DEFAULT_ENV:-}" "VENV=${VIRTUAL_ENV:-}"
"""
GETENT = """#!/bin/sh
printf 'me:x:0:0:me:%s:/bin/sh\\n' "$ACCOUNT"
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path) -> Path:
    """A real virtual environment, without pip."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home of the machine"
    home.mkdir()
    return home


@pytest.fixture(params=["dash", "bash --posix", "busybox sh"])
def run(request: pytest.FixtureRequest, tmp_path: Path, home: Path) -> Run:
    """Runs a script's job in a shell, on a machine of an account whose home is `account`."""
    shell = request.param.split()
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    path = tmp_path / "path"
    path.mkdir()
    if shell[0] == "busybox":
        subprocess.run(["busybox", "--install", "-s", path], check=True)
    (path / "getent").unlink(missing_ok=True)
    (path / "getent").write_text(GETENT)
    (path / "getent").chmod(0o755)

    def run(settings: Script, **environ: str) -> "subprocess.CompletedProcess[str]":
        job = ScriptWorkload(settings).job(ORDERS, tmp_path)
        file = tmp_path / "command"
        file.write_text(job.command)
        environ = {
            "HOME": str(home),
            "PATH": str(path) if shell[0] == "busybox" else f"{path}:/usr/bin:/bin",
            "ACCOUNT": str(tmp_path / "account"),
            **job.env,
            **environ,
        }
        return subprocess.run([shutil.which(shell[0]) or "", *shell[1:], file], cwd=home, env=environ,
                              capture_output=True, text=True, timeout=60)  # fmt: skip

    return run


def in_conda(prefix: Path, name: str) -> list[str]:
    return [f"{prefix}/bin/python", f"PREFIX={prefix}", f"NAME={name}", "VENV="]


IRIS = Script(command=COMMAND, conda_env="iris")


@pytest.mark.parametrize("place", ["miniconda3", "miniforge3", "mambaforge", "anaconda3", "conda"])
def test_conda_is_found_where_installers_put_it(run: Run, home: Path, place: str) -> None:
    conda(home / place)
    prefix = environment(home / place / "envs" / "iris")
    outcome = run(IRIS)
    assert outcome.stdout.splitlines() == in_conda(prefix, "iris"), outcome.stderr


@pytest.mark.parametrize("way", ["CONDA_EXE", "PATH", "profile"])
def test_conda_is_found_as_it_names_itself(run: Run, home: Path, tmp_path: Path, way: str) -> None:
    program = conda(tmp_path / "elsewhere")
    prefix = environment(tmp_path / "elsewhere" / "envs" / "iris")
    conda(home / "miniconda3")  # knows no such environment, and would be asked last
    settings = IRIS
    if way == "profile":
        (home / ".profile").write_text(f"echo hello\nPATH=$PATH:'{program.parent}'\nexport FROM=profile\n")
    elif way == "PATH":
        (tmp_path / "path" / "conda").symlink_to(program)
    outcome = run(settings, **({"CONDA_EXE": str(program)} if way == "CONDA_EXE" else {}))
    assert outcome.stdout.splitlines() == in_conda(prefix, "iris"), outcome.stderr


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("compact", [True, False])
def test_names_are_condas_or_the_last_part_of_a_path(run: Run, home: Path, full: bool, compact: bool) -> None:
    root = home / 'mini "ö😀\\ conda'
    lonely = environment(home / "projects" / "lonely")
    program = conda(root, extra=(lonely,), full=full, compact=compact)
    first, second = (environment(root / folder / "iris") for folder in ("envs", "more envs"))
    other = environment(root / "more envs" / "other")
    (root / "bin" / "python").symlink_to(first / "bin" / "python")
    wanted = {"iris": first, "other": other, "lonely": lonely, "base": root}
    for name, prefix in wanted.items():
        outcome = run(Script(command=COMMAND, conda_env=name), CONDA_EXE=str(program))
        assert outcome.stdout.splitlines() == in_conda(prefix, name), outcome.stderr
    assert second.is_dir()


def test_a_local_machine_sees_the_accounts_conda_too(run: Run, tmp_path: Path) -> None:
    account = tmp_path / "account"
    conda(account / "miniconda3")
    prefix = environment(account / ".conda" / "envs" / "iris")
    (account / ".conda" / "environments.txt").write_text(f"{prefix}\n")
    assert run(IRIS).stdout.splitlines() == in_conda(prefix, "iris")


def test_an_unknown_environment_is_said_with_those_there_are(run: Run, home: Path) -> None:
    program = conda(home / "miniconda3")
    for name in ("iris2", "titanic"):
        (home / "miniconda3" / "envs" / name / "bin").mkdir(parents=True)
    outcome = run(IRIS, CONDA_EXE=str(program))
    said = "environment: conda knows no environment 'iris' here, only: base, iris2, titanic\n"
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (127, "", said)


def test_a_conda_that_fails_is_said(run: Run, home: Path) -> None:
    program = conda(home / "miniconda3")
    program.write_text("#!/bin/sh\nexit 1\n")
    outcome = run(IRIS)
    assert (outcome.returncode, outcome.stdout) == (127, "")
    assert outcome.stderr == f"environment: {program} cannot list its environments\n"


def test_no_conda_at_all_is_said(run: Run) -> None:
    if any(Path(place, "bin/conda").exists() for top in ("/opt", "/usr/local") for place in Path(top).glob("*")):
        pytest.skip("this computer has a conda")
    outcome = run(IRIS)
    assert (outcome.returncode, outcome.stdout) == (127, "")
    assert outcome.stderr.startswith("environment: there is no conda here: install it")


def test_a_virtual_environment_comes_first(run: Run, home: Path) -> None:
    prefix = environment(home / "my env")
    outcome = run(Script(command=COMMAND, venv="~/my env"), PYTHONHOME="/nowhere")
    assert outcome.stdout.splitlines() == [f"{prefix}/bin/python", "PREFIX=", "NAME=", f"VENV={prefix}"]
    assert run(Script(command="python -c 'import sys; print(sys.prefix)'", venv=str(prefix))).stdout == f"{prefix}\n"


def test_an_interpreter_is_named_to_the_command(run: Run, home: Path) -> None:
    prefix = environment(home / "my env")
    command = 'command -v python; "$RECONCILER_PYTHON" -c "import sys; print(sys.prefix)"'
    outcome = run(Script(command=command, python="~/my env/bin/python3"))
    assert outcome.stdout.splitlines() == [f"{prefix}/bin/python", str(prefix)], outcome.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Script(command="echo ran", venv="~/none"), "there is no virtual environment in {home}/none: make it in"),
        (Script(command="echo ran", python="~/none"), "there is no interpreter {home}/none that can be run"),
        (Script(command="echo ran", python="~/"), "there is no interpreter {home}/ that can be run"),
    ],
)
def test_what_is_missing_is_said(run: Run, home: Path, settings: Script, message: str) -> None:
    outcome = run(settings)
    assert (outcome.returncode, outcome.stdout) == (127, "")
    assert outcome.stderr.startswith(f"environment: {message.format(home=home)}")


def test_no_name_is_ever_taken_for_shell(run: Run, home: Path) -> None:
    program = conda(home / "miniconda3")
    name = "$(touch${IFS}gone)`touch`';*"
    prefix = environment(home / "miniconda3" / "envs" / name)
    assert run(Script(command=COMMAND, conda_env=name), CONDA_EXE=str(program)).stdout.splitlines() == in_conda(
        prefix, name
    )
    for settings in (Script(command="true", venv="~/$(touch gone)"), Script(command="true", python="/`touch gone`")):
        assert run(settings).returncode == 127
    assert not list(home.parent.rglob("gone"))


def test_the_command_ends_as_it_says(run: Run, home: Path) -> None:
    environment(home / "env")
    assert run(Script(command="exit 7", venv="~/env")).returncode == 7


def test_the_variables_are_those_that_are_named() -> None:
    assert named_environment(Script(command="x")) == {}
    assert named_environment(Ramp(kit="/k", conda_env="iris")) == {"RECONCILER_CONDA_ENV": "iris"}
    assert named_environment(Ramp(kit="/k", venv="~/v")) == {"RECONCILER_VENV": "~/v"}
    assert named_environment(Script(command="x", python="/p")) == {"RECONCILER_PYTHON": "/p"}


def test_a_command_without_an_environment_is_the_pools_own_alone(tmp_path: Path) -> None:
    assert ScriptWorkload(Script(command="sh run.sh")).job(ORDERS, tmp_path).command == "sh run.sh"


@pytest.mark.parametrize("names", [("environment.sh",), ("ramp.sh",), ("environment.sh", "ramp.sh")])
def test_shellcheck_finds_nothing(names: tuple[str, ...]) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    text = "\n".join(shell_lines(name) for name in names)
    outcome = subprocess.run(["shellcheck", "-s", "sh", "-"], input=text, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (0, "")


def test_every_awk_reads_conda_alike(tmp_path: Path) -> None:
    """The machine's own awk may be any of them."""
    text = (
        r'{"envs_details": {"x": 1}, "envs" : ["/a b", "/\u00e9\u20ac\ud83d\ude00", "/q\"\\\/"],'
        r' "root_prefix": "/r"}'
    )
    expected = ["/a b", "/é€😀", '/q"\\/']
    found = 0
    for awk in ("mawk", "gawk", "original-awk", "busybox"):
        program = shutil.which(awk)
        if program is None:
            continue
        folder = tmp_path / awk
        folder.mkdir()
        (folder / "awk").symlink_to(program)
        script = f'{shell_lines("environment.sh")}\nprintf \'%s\' "$JSON" | strings_of "$KEY"\n'
        for key, lines in (("envs", expected), ("root_prefix", ["/r"]), ("envs_dirs", [])):
            environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "JSON": text, "KEY": key}
            outcome = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, check=True)
            assert outcome.stdout.splitlines() == lines, awk
        found += 1
    assert found
