"""How long people wait for `reconcile --help`: a fresh process each time, from its start to its end."""

import statistics
import subprocess
import sys
import time

from attrs import frozen

from benchmarks.figures import Figure

TIMES = 11
HEAVY = ("sqlalchemy", "boto3", "asyncssh", "alembic", "ruamel", "cattrs")  # what --help must not import


@frozen
class Help:
    """Seconds of each process, and the heavy modules that it had imported at its end."""

    seconds: tuple[float, ...]
    heavy: tuple[str, ...]


def measure(times: int) -> Help:
    """Ask for help so many times."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "reconciler", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begun)
    return Help(tuple(seconds), imported())


def imported() -> tuple[str, ...]:
    """Which heavy modules a process has imported that printed the help."""
    code = (
        "import sys; from reconciler.cli.root import root\n"
        "root(['--help'], standalone_mode=False)\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return tuple(done.stderr.decode().split())


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    took = measure(TIMES)
    return (
        Figure(
            what=f"`reconcile --help`, median of {TIMES}", measured=statistics.median(took.seconds), bound=0.25,
            unit=" s", digits=3,
        ),
    )  # fmt: skip
