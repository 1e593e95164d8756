"""What each live instance does next, from what its cloud lists, its host reports and its effect answered.

Rules are asked in order; the first that has something to say moves the row, and it moves once a pass.
Sizes, idleness and drift are for pools.py: here is only what the outside world says.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import frozen

from reconciler.decide.case import Case, Draft
from reconciler.decide.deadlines import deadline
from reconciler.decide.faults import POLICIES
from reconciler.decide.holds import became_ready, never_ready, refused
from reconciler.decide.moves import can, move_instance, note, strike
from reconciler.decide.sightings import Sightings, is_over, place_of, sight, vanishing
from reconciler.lifecycle.instance import INSTANCE
from reconciler.model.change import Replace, Step, Write
from reconciler.model.job import JobState, Notice, Watch
from reconciler.model.offer import Fault, Machine, MachineState
from reconciler.model.rows import Instance
from reconciler.model.snapshot import Done, Failed, Heard, Silence
from reconciler.spec.values import Deadlines

SILENT = "silent: "  # begins the last error of a host whose probes fail
IMPAIRED = "impaired: "  # begins the last error of a machine that its cloud's own checks complain about
POWERLESS = "may not shut itself down"  # why nobody but us ends it: its watch lacks the right
SILENCE_COUNT = 5  # failed probes in a row, and as long as the pool's deadline for silence, end a machine


@frozen
class View:
    """One row, and all that is known about it in this pass."""

    case: Case
    seen: Sightings
    row: Instance
    machine: Machine | None
    host: Heard | Silence | None

    @property
    def deadlines(self) -> Deadlines:
        """Those of its pool, or the defaults where the pool is no longer known."""
        wish = self.case.desired.pools.get(self.row.pool)
        return wish.pool.deadlines if wish else Deadlines()

    def step(self, event: str, why: str, *more: Write, **sets: Any) -> Step:
        """A transition of this row, with a reason where there is one."""
        return Step((move_instance(self.case, self.row, event, **sets), *more), f"{self.row.id}: {why}")


def instances(case: Case, draft: Draft) -> None:
    """Move every live instance by the first rule that applies."""
    seen = sight(case)
    suspicious, agreed = vanishing(case, seen)
    for place, hold in suspicious.items():
        draft.halted.add(place)
        if hold not in case.recorded.holds:
            draft.add(Step((Replace("holds", hold),), hold.reason))
    for row in case.recorded.instances.values():
        if INSTANCE.is_final(row.state):
            continue
        view = View(case, seen, row, seen.machine(row), case.observed.hosts.get(row.id))
        if place_of(row) in draft.halted and seen.is_unknown(row) and place_of(row) not in agreed:
            continue
        draft.decide("instances", row.id, partial(_next, view, draft))


def _next(view: View, draft: Draft) -> Step | None:
    """The step of the first rule that has something to say; else when to look again."""
    row = view.row
    step = next(filter(None, (rule(view) for rule in RULES)), None)
    if step is None:
        draft.due(deadline(INSTANCE, row.state, row.since, view.deadlines))
        draft.due(row.not_before if row.not_before > view.case.now else float("inf"))
    return step


def _ended(view: View) -> Step | None:
    """The cloud says terminated, or asked by id does not know it."""
    if view.row.state == "launching":
        return None
    if is_over(view.machine) and view.machine:
        reason = view.row.reason if view.row.state == "terminating" else _why_gone(view.machine)
        bound = {} if view.row.cloud_id else {"cloud_id": view.machine.cloud_id}
        return view.step("gone", reason, reason=reason, **bound)
    if view.seen.is_unknown(view.row):
        reason = view.row.reason if view.row.state == "terminating" else "vanished"
        return view.step("gone", reason, reason=reason)
    return None


def _why_gone(machine: Machine) -> str:
    return "evicted" if machine.evicted else "vanished"


def _bound(view: View) -> Step | None:
    """An unbound row's machine is in a listing."""
    if view.row.cloud_id or view.machine is None or not can(INSTANCE, view.row.state, "bound"):
        return None
    return view.step("bound", "found by its token", cloud_id=view.machine.cloud_id, address=view.machine.address)


def _absent(view: View) -> Step | None:
    """Nothing was ever bought for a row that is no longer wanted."""
    if view.row.state == "terminating" and view.seen.is_absent(view.row):
        return view.step("absent", "nothing was bought", reason=view.row.reason)
    return None


def _answered(view: View) -> Step | None:
    """What came of the row's effect."""
    row, case = view.row, view.case
    answer = case.answer("instances", row.id, row.state, row.since)
    if answer is None:
        return None
    if isinstance(answer.result, Done):
        return _did(view, answer.result)
    if POLICIES[answer.result.fault].refuses and can(INSTANCE, row.state, "refused"):
        return _refused(view, answer.result)
    return Step((strike("instances", row, answer.result, case.now),), f"{row.id}: {answer.result.message}")


def _did(view: View, done: Done) -> Step | None:
    if done.event == "bound":
        return view.step("bound", "bought", **done.sets)
    if done.event == "unfilled":
        hold = refused(view.case, view.row, Fault.CAPACITY, "fewer machines than asked for")
        return view.step("unfilled", "capacity", hold, reason="capacity")
    if done.event == "gone":
        return view.step("gone", view.row.reason, reason=view.row.reason)
    return None


def _refused(view: View, failed: Failed) -> Step:
    hold = refused(view.case, view.row, failed.fault, failed.message)
    return view.step("refused", f"{failed.fault}: {failed.message}", hold, reason=str(failed.fault),
                     last_error=failed.message)  # fmt: skip


def _stopped_or_running(view: View) -> Step | None:
    """The cloud says that it is stopped, or that it runs again."""
    if view.machine is None:
        return None
    if view.machine.state is MachineState.STOPPED and can(INSTANCE, view.row.state, "seen_stopped"):
        return view.step("seen_stopped", "stopped", reason=view.row.reason, boot_id="")
    if view.machine.state is MachineState.RUNNING and can(INSTANCE, view.row.state, "seen_running"):
        return view.step("seen_running", "runs again", address=view.machine.address, reason="")
    return None


def _located(view: View) -> Step | None:
    """The cloud tells where its host answers only some time after it was bought."""
    row, machine = view.row, view.machine
    if machine is None or machine.address in ("", row.address) or not can(INSTANCE, row.state, "located"):
        return None
    return view.step("located", f"answers at {machine.address}", address=machine.address, since=row.since)


def _noticed(view: View) -> Step | None:
    """The cloud announced, in its listing or to the machine itself, that it takes the machine back."""
    row, told = view.row, _told(view)
    if told is Notice.EVICTION or (view.machine is not None and view.machine.evicted):
        fits = row.reason != "evicted" and can(INSTANCE, row.state, "notice")
        return view.step("notice", "evicted", reason="evicted") if fits else None
    if told is Notice.REBALANCE and row.state == "ready" and not row.adopted:
        # It may live for hours yet, so what runs goes on; the same offer would soon say the same.
        hold = refused(view.case, row, Fault.CAPACITY, "its cloud recommends to rebalance")
        return view.step("drain", "drained: rebalance", hold, reason="rebalance")
    return None


def _told(view: View) -> Notice:
    """What its own cloud told the machine, on the boot that we know."""
    is_this_boot = isinstance(view.host, Heard) and view.host.report.boot_id == view.row.boot_id
    return view.host.report.notice if is_this_boot and isinstance(view.host, Heard) else Notice.NONE


def _host(view: View) -> Step | None:
    """What its host says: the first answer of a boot, the end of the setup, another boot."""
    row, host = view.row, view.host
    if not isinstance(host, Heard):
        return None
    boot_id, fresh = host.report.boot_id, host.asked >= row.since
    if fresh and row.state == "booting":
        key = host.report.host_key or row.host_key
        return view.step("answered", "its host answers", boot_id=boot_id, host_key=key)
    if fresh and boot_id != row.boot_id and can(INSTANCE, row.state, "rebooted"):
        return view.step("rebooted", "rebooted", boot_id=boot_id, reason=row.reason)
    return _setup(view, host) if row.state == "preparing" else None


def _setup(view: View, host: Heard) -> Step | None:
    job = host.report.jobs.get(setup_job(view.row))
    if job is None or not job.over:
        return None
    if job.state is JobState.EXITED and job.exit_code == 0:
        reason = POWERLESS if host.report.watch is Watch.POWERLESS else ""
        return view.step("prepared", "prepared", *became_ready(view.case, view.row), reason=reason)
    why = f"exit code {job.exit_code}" if job.state is JobState.EXITED else str(job.cause or job.state)
    return view.step("setup_failed", f"setup failed: {why}", never_ready(view.case, view.row, f"setup failed: {why}"),
                     reason="setup failed", last_error=f"setup: {why}")  # fmt: skip


def _silent(view: View) -> Step | None:
    """A failed probe counts; many over a long time end the machine; one success forgets them all."""
    row, host = view.row, view.host
    if isinstance(host, Heard):
        if row.strikes and row.last_error.startswith(SILENT):
            return Step((note("instances", row, strikes=0, strikes_since=0.0, last_error=""),), f"{row.id}: answers")
        return None
    if not isinstance(host, Silence) or not can(INSTANCE, row.state, "unreachable"):
        return None
    since = row.strikes_since if row.strikes else view.case.now
    if row.strikes + 1 >= SILENCE_COUNT and view.case.now - since >= view.deadlines.silence:
        return view.step("unreachable", "unreachable", reason="unreachable", last_error=host.error)
    silent = note("instances", row, strikes=row.strikes + 1, strikes_since=since, last_error=SILENT + host.error)
    return Step((silent,), f"{row.id}: no answer from its host")


def _overdue(view: View) -> Step | None:
    """Its state's deadline has passed."""
    row, case = view.row, view.case
    if deadline(INSTANCE, row.state, row.since, view.deadlines) > case.now or not can(INSTANCE, row.state, "overdue"):
        return None
    reason = row.reason if row.state == "draining" and row.reason else f"{row.state} took too long"
    hold = (never_ready(view.case, view.row, reason),) if row.state in ("booting", "preparing") else ()
    return view.step("overdue", reason, *hold, reason=reason)


def _no_way_in(view: View) -> Step | None:
    """Silence is what booting means, but why there is no way in is shown: a wrong host key never mends itself."""
    row, host = view.row, view.host
    if row.state != "booting" or not isinstance(host, Silence) or row.last_error == SILENT + host.error:
        return None
    return Step((note("instances", row, last_error=SILENT + host.error),), f"{row.id}: no answer from its host yet")


def _impaired(view: View) -> Step | None:
    """The cloud's own checks of it fail, or do so no more: shown, and left to silence to act on."""
    row, machine = view.row, view.machine
    if machine is None or (row.last_error and not row.last_error.startswith(IMPAIRED)):
        return None
    says = f"{IMPAIRED}{machine.impaired}" if machine.impaired else ""
    if says == row.last_error:
        return None
    return Step((note("instances", row, last_error=says),), f"{row.id}: {says or 'is not impaired any more'}")


def setup_job(row: Instance) -> str:
    """The agent's name for an instance's setup; the same setup is never run twice on one machine."""
    return f"setup-{row.id}-{row.spec_hash}"


# The cloud's word before the host's, an answer before an observation of the same, silence and deadlines last.
RULES: tuple[Callable[[View], Step | None], ...] = (
    _ended,
    _bound,
    _absent,
    _answered,
    _stopped_or_running,
    _located,
    _noticed,
    _host,
    _silent,
    _overdue,
    _no_way_in,
    _impaired,
)
