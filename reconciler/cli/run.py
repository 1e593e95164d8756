"""The run itself: pass after pass, until stopped, settled, or as far as it goes. Signals end it cleanly.

Jobs and machines do not depend on this process: ending it ends none of them, and the next start carries on.
"""

import asyncio
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import evolve, frozen

from reconciler.cli.changes import plan as changes_of_plan
from reconciler.cli.deployment import IN_MEMORY, Deployment, is_missing
from reconciler.cli.failing import FAILED, SETTLED, UNSETTLED, Stop
from reconciler.cli.options import config_paths
from reconciler.cli.printing import say, warn
from reconciler.cli.progress import ENDS, Lines, Progress, progress
from reconciler.cli.summary import left, summary
from reconciler.compat.ramp_config import RampDeployment
from reconciler.compat.ramp_specs import RampSpecs
from reconciler.compat.translated import served, translated
from reconciler.decide.settled import Standing
from reconciler.hosts.local import watched_by_pidfd
from reconciler.loop import Passed
from reconciler.source import SpecFiles, Specs
from reconciler.spec.values import Config
from reconciler.store.store import Store
from reconciler.wiring import assembled, awake, open_store, read_config

_Result = TypeVar("_Result")
_SHOW_CURSOR = "\x1b[?25h"
_INTERRUPTED = 130
_YOUNG = 20_000  # values made since the last look for garbage


class Mode(StrEnum):
    """How far a run goes."""

    FOREVER = "forever"
    ONCE = "once"
    UNTIL_SETTLED = "until-settled"
    DRY_RUN = "dry-run"


@frozen
class Served:
    """One of the deployments that this process serves."""

    config: Config
    specs: Specs
    store: Store


def run(ctx: click.Context, mode: Mode, *, quiet: bool) -> int:
    """Run in one mode; answers with the exit status. Raises SpecError, StoreError."""
    wanted = served(config_paths(ctx))
    for note in (note for each in wanted if isinstance(each, RampDeployment) for note in each.notes):
        warn(note)
    return run_all(wanted, mode, quiet=quiet)


def run_all(wanted: Sequence[Path | RampDeployment], mode: Mode, *, quiet: bool) -> int:
    """Serve every one of these in this process, each with its own database, machines and results."""
    read = [_read(each) for each in wanted]
    if mode is Mode.DRY_RUN:
        return max(_dry_run(config, specs) for config, specs in read)
    for config, _ in read:
        _check_results(config)
    with ExitStack() as stack:
        all_of_them = []
        for config, specs in read:
            store = open_store(config)
            stack.callback(store.close)
            all_of_them.append(Served(config, specs, store))
        with ExitStack() as shown:
            alone = len(all_of_them) == 1
            told = [shown.enter_context(_progress(each, quiet=quiet, alone=alone)) for each in all_of_them]
            # What is loaded by now stays, and a pass makes many values that live for a moment and refer to no other.
            gc.freeze()
            gc.set_threshold(_YOUNG)
            passes = asyncio.run(run_served(mode, all_of_them, told))
        return max(_tell(mode, each, passed, quiet=quiet) for each, passed in zip(all_of_them, passes, strict=True))


def _read(wanted: Path | RampDeployment) -> tuple[Config, Specs]:
    if isinstance(wanted, Path):
        return read_config(wanted)
    translated(wanted, os.environ)
    return wanted.config, RampSpecs(deployment=wanted)


def _check_results(config: Config) -> None:
    """Nothing is begun that could not come home. Raises Stop.

    A folder that turns so while we run only holds up its own results, as a full disk does.
    """
    folder = next(each for each in (config.results, *config.results.parents) if each.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        message = "results cannot be written here, so nothing was begun. Make it a folder that you may write to"
        raise Stop(FAILED, f"{folder}: {message}, and start again")


def _progress(each: Served, *, quiet: bool, alone: bool) -> Progress:
    if alone or quiet:
        return progress(quiet=quiet, controller=each.config.controller, done=_done(each.store))
    return Lines(prefix=f"{each.config.controller}: ")


def _done(store: Store) -> dict[str, int]:
    """How many submissions ended how, before this run."""
    counted = store.counts("submissions").values()
    return {state: total for state in sorted(ENDS) if (total := sum(states.get(state, 0) for states in counted))}


async def run_served(mode: Mode, all_of_them: Sequence[Served], told: Sequence[Progress]) -> Sequence[Passed | None]:
    """The last pass of each; None where a signal ended the run."""

    async def together() -> Sequence[Passed | None]:
        tasks = [asyncio.ensure_future(_one(mode, *each)) for each in zip(all_of_them, told, strict=True)]
        try:
            return await asyncio.gather(*tasks)
        finally:  # where one cannot go on, the others end as cleanly as at a signal
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with watched_by_pidfd():
        return await _unless_stopped(together()) or [None] * len(all_of_them)


async def _one(mode: Mode, each: Served, shown: Progress) -> Passed | None:
    async with assembled(each.config, each.specs, each.store, shown.tell) as loop:
        if mode is Mode.ONCE:
            return await loop.as_far_as_possible()
        async with awake(loop, each.config, each.store):
            return await (loop.until_settled() if mode is Mode.UNTIL_SETTLED else loop.forever())


async def _unless_stopped(work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """Await, until SIGTERM or Ctrl-C ends it cleanly. A second Ctrl-C ends the process at once."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    asked: list[int] = []

    def on_signal(number: int) -> None:
        asked.append(number)
        task.cancel()
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, _end_now)  # heard at once, whatever the loop waits for

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not asked:
            raise
        return None


def _end_now(*_: object) -> None:
    """End without any ado: whatever was in flight is found again at the next start."""
    if sys.stdout.isatty():
        sys.stdout.write(_SHOW_CURSOR)
        sys.stdout.flush()
    os._exit(_INTERRUPTED)


def _tell(mode: Mode, each: Served, passed: Passed | None, *, quiet: bool) -> int:
    """What is left, and the exit status."""
    deployment = Deployment(config=each.config, desired=each.specs.desired(), store=each.store)
    if passed is None:
        if not quiet:
            _goes_on(deployment)
        return SETTLED if mode is Mode.FOREVER else UNSETTLED
    if mode is Mode.UNTIL_SETTLED:
        summary(deployment)
    if not quiet or mode is Mode.UNTIL_SETTLED:
        for text in left(passed.standing):
            say(text)
    return _status(passed.standing)


def _status(standing: Standing) -> int:
    return UNSETTLED if standing.in_flight or standing.set_aside else SETTLED


def _goes_on(deployment: Deployment) -> None:
    """What a stopped run leaves behind."""
    recorded = deployment.recorded()
    jobs, machines = len(recorded.attempts), len(deployment.store.instances())
    queued = sum(each.ready + each.held for each in recorded.waiting.values())
    say(f"stopped: {jobs} submissions on {machines} machines go on without us, {queued} stay queued; start again")


def _dry_run(config: Config, specs: Specs) -> int:
    """Print what the next pass would do. Nothing outside a temporary folder is written."""
    with tempfile.TemporaryDirectory(prefix="reconcile-") as scratch:
        aside = evolve(config, results=Path(scratch) / "results", state=Path(scratch) / "state")
        store = open_store(evolve(config, database=IN_MEMORY) if is_missing(config) else config, look=True)
        try:
            passed = asyncio.run(_plan(aside, specs, store))
        finally:
            store.close()
    lines = [str(change) for change in changes_of_plan(passed.decision, passed.recorded)]
    for line in lines or ["nothing to do"]:
        say(line)
    return SETTLED


async def _plan(config: Config, specs: Specs, store: Store) -> Passed:
    with watched_by_pidfd():
        aside = specs if isinstance(specs, RampSpecs) else SpecFiles(config=config)
        async with assembled(config, aside, store, lambda _: None) as loop:
            return await loop.plan()
