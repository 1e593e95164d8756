"""How much of ten machines' time is spent in jobs, when more of them wait than there are slots.

Each job notes when it starts and ends, by this computer's uptime. What counts as used is what the jobs sleep, nothing
else: time in which a job's shell starts or writes its note is overhead like any other.
"""

from pathlib import Path

from attrs import frozen

from benchmarks.deployment import deployment, running, wait_until
from benchmarks.figures import Figure
from benchmarks.work import queue_at_once
from reconciler.wiring import read_config

MACHINES = 10
SHORT, LONG = (100, 2), (30, 10)  # jobs, seconds each

# `read` and `echo` are the shell's own, so that noting starts no process.
JOB = """\
read -r now rest </proc/uptime
echo "$now" >"{ledger}/$RECONCILER_ATTEMPT.start"
sleep {seconds}
read -r now rest </proc/uptime
echo "$now" >"{ledger}/$RECONCILER_ATTEMPT.end"
"""


@frozen(kw_only=True)
class Use:
    """What became of so many slots' time. Seconds."""

    slots: int
    makespan: float  # from the first start to the last end
    slept: float  # by all jobs together

    @property
    def share(self) -> float:
        """Per cent of the slots' time that jobs slept."""
        return 100 * self.slept / (self.slots * self.makespan)


def measure(machines: int, jobs: int, seconds: int) -> Use:
    """Queue so many jobs at once for warm machines."""
    with deployment(machines=machines) as made, running(made) as store:
        ledger = made.folder / "ledger"
        ledger.mkdir()
        script = JOB.format(ledger=ledger, seconds=seconds)
        queue_at_once(made, *read_config(made.config), store, jobs, script)
        patience = 60 + 3 * seconds * jobs / machines
        wait_until(lambda: len(_moments(ledger, "end")) == jobs, "every job ended", patience=patience)
        makespan = max(_moments(ledger, "end")) - min(_moments(ledger, "start"))
        return Use(slots=machines, makespan=makespan, slept=float(jobs * seconds))


def _moments(ledger: Path, what: str) -> list[float]:
    """Seconds of uptime at which jobs started or ended."""
    return [float(path.read_text(encoding="ascii")) for path in ledger.glob(f"*.{what}") if path.stat().st_size]


def run() -> tuple[Figure, ...]:
    """The row's figures."""
    figures = []
    for (jobs, seconds), bound, quoted in ((SHORT, 90, ""), (LONG, 98, "12 %")):
        use = measure(MACHINES, jobs, seconds)
        figures.append(
            Figure(
                what=f"slots used: {jobs} jobs of {seconds} s on {MACHINES} warm machines", measured=use.share,
                bound=bound, unit=" %", digits=1, at_least=True, quoted=quoted,
            )
        )  # fmt: skip
    return tuple(figures)
