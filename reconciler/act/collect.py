"""Brings an attempt's results home: into a temporary folder, checked, synced, then renamed to where people look.

The host ends the job first, which does nothing to one that is over, so that nothing writes while we read and no late
start can run beside the next attempt. A folder that is home already is believed: whoever brought it died before saying
so, and since then even its machine may have gone.
"""

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from attrs import asdict, evolve, frozen

from reconciler.act.base import Tools, World
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError
from reconciler.hosts.extract import MANIFEST
from reconciler.lifecycle.instance import OFF
from reconciler.model.assignment import Assignment
from reconciler.model.job import Cause, Collected, JobReport, JobState
from reconciler.model.papers import Papers
from reconciler.model.rows import Submission
from reconciler.model.snapshot import Done, Failed, Verdict
from reconciler.workloads.base import Workload

INCOMING = ".incoming"  # beside the results, so that a rename brings them in
GONE = Done(event="machine_gone")  # nothing of it is home, and nothing will come


async def collect(rows: Sequence[Submission], world: World) -> Sequence[Done | Failed]:
    """End the job, bring home what is there, and say what it means."""
    (row,) = rows
    return [await bring_home(row, world)]


async def cancel(rows: Sequence[Submission], world: World) -> Sequence[Done | Failed]:
    """End the job, and bring home what is there if that can be had: nobody waits for it any more."""
    (row,) = rows
    try:
        return [await bring_home(row, world)]
    except (UnreachableError, HostRefusedError):
        attempt, instance, _ = world.work(row)
        return [Done(job=await end(world.tools.host(instance), attempt.id))]


async def end(host: Host, attempt_id: str) -> JobReport:
    """The agent's last word on an attempt. Raises UnreachableError while something of it is left."""
    try:
        report = await host.kill(attempt_id)
    except HostRefusedError:  # a machine whose home was lost has no agent to say that nothing is left
        await host.install()
        report = await host.kill(attempt_id)
    if not report.over:
        raise UnreachableError(f"processes of {attempt_id} do not end")
    return report


async def bring_home(row: Submission, world: World) -> Done:
    """The agent's last word on the attempt, and the workload's verdict on what came home."""
    attempt, instance, orders = world.work(row)
    tools, host = world.tools, world.tools.host(instance)
    relative = f"{row.label}/{attempt.number}"
    home = tools.results / relative
    if instance.state in OFF:
        known = await asyncio.to_thread(_home_already, home, attempt.id)
        return Done(job=known.report, verdict=evolve(known.verdict, results=relative)) if known else GONE
    known = await asyncio.to_thread(_home_already, home, attempt.id)
    if known:
        done = Done(job=await end(host, attempt.id), verdict=evolve(known.verdict, results=relative))
        await asyncio.to_thread(_sweep, tools.results, attempt.id)
    else:
        papers = Papers(submission=row, attempt=attempt)
        report, verdict = await _bring(host, orders, tools, home, papers)
        done = Done(job=report, verdict=evolve(verdict, results=relative))
    await host.forget(attempt.id)
    return done


async def _bring(host: Host, orders: Assignment, tools: Tools, home: Path, papers: Papers) -> tuple[JobReport, Verdict]:
    workload = tools.workload(orders.workload, orders.settings)
    job = workload.job(orders, tools.content / orders.content)
    # A folder for this try alone: another process may be trying too, and neither may touch the other's.
    incoming = tools.results / INCOMING / f"{orders.attempt}~{token_hex(6)}"
    try:
        collected = await host.collect(job, incoming)
    except HostRefusedError:  # its agent is gone with its home, or its processes do not end
        await end(host, orders.attempt)
        collected = await host.collect(job, incoming)
    verdict = await asyncio.to_thread(_settle, workload, orders, collected, incoming, home, papers)
    return collected.report, verdict


def _sweep(results: Path, attempt_id: str) -> None:
    """Remove what tries left that were killed, or that came second. The results are home."""
    for folder in (results / INCOMING).glob(f"{attempt_id}~*"):
        shutil.rmtree(folder, ignore_errors=True)


@frozen
class Home:
    """What the manifest of results that are home says."""

    report: JobReport
    verdict: Verdict
    papers: str


def _home_already(home: Path, attempt_id: str) -> Home | None:
    known = read_home(home)
    return known if known is not None and known.report.job == attempt_id else None


def read_home(home: Path) -> Home | None:
    """What the manifest in a folder of results says; None where there is none that can be read."""
    try:
        return _of_manifest(json.loads((home / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _of_manifest(manifest: Mapping[str, Any]) -> Home:
    attempt_id = manifest["attempt"]
    report = JobReport(
        job=attempt_id,
        state=JobState(manifest["state"]),
        cause=Cause(manifest["cause"]) if manifest["cause"] else None,
        exit_code=manifest["exit_code"],
        started=datetime.fromisoformat(manifest["started"]) if manifest["started"] else None,
        ended=datetime.fromisoformat(manifest["ended"]) if manifest["ended"] else None,
        peak_memory=manifest["peak_memory_mib"],
    )
    verdict = Verdict(outcome=manifest["outcome"], message=manifest["message"], scores=manifest["scores"])
    return Home(report, verdict, json.dumps(manifest.get("papers", {})))


def _settle(
    workload: Workload,
    orders: Assignment,
    collected: Collected,
    incoming: Path,
    home: Path,
    papers: Papers,
) -> Verdict:
    """Judge what came, write the manifest, rename the whole into place, and tidy up after other tries."""
    report = collected.report
    verdict = workload.verdict(orders, report, incoming, collected)
    manifest = {
        "attempt": orders.attempt,
        "submission": orders.submission,
        "pool": orders.pool,
        "state": str(report.state),
        "cause": str(report.cause or ""),
        "exit_code": report.exit_code,
        "started": report.started.isoformat() if report.started else None,
        "ended": report.ended.isoformat() if report.ended else None,
        "peak_memory_mib": report.peak_memory,
        "outcome": str(verdict.outcome),
        "message": verdict.message,
        "scores": dict(verdict.scores),
        "outputs": list(collected.outputs),
        "refused": list(collected.refused),
        "papers": asdict(papers),
    }
    _write_synced(incoming / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    home.parent.mkdir(parents=True, exist_ok=True)
    verdict = _rename(incoming, home, orders.attempt) or verdict
    _sweep(home.parents[1], orders.attempt)
    return verdict


def _rename(incoming: Path, home: Path, attempt_id: str) -> Verdict | None:
    """Move the results to where people look. Answers with the verdict of another process that was quicker."""
    try:
        incoming.rename(home)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        known = _home_already(home, attempt_id)
        if known is not None:
            return known.verdict
        home.rename(home.with_name(f"{home.name}.before-{attempt_id}"))  # of another database: kept, not overwritten
        incoming.rename(home)
    _sync(home.parent)
    return None


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
