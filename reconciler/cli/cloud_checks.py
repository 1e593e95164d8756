"""The checks of `doctor` that ask somebody else: what the pools' launches will need of their clouds, and the machines
that there are. They are given as they are done; what cannot be asked is said, and fails nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType

from reconciler.cli.checks import OK, PROBLEM, UNKNOWN, Found
from reconciler.clouds.base import Check, CloudError, Examine, Here
from reconciler.clouds.base import Found as Result
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError
from reconciler.lifecycle.instance import HOSTED
from reconciler.model.job import Report, Watch
from reconciler.model.rows import Instance
from reconciler.spec.values import Pool

Examiners = Mapping[str, Callable[[], Examine]]  # kind of cloud → what examines a pool of it

RESULTS: Mapping[Result, str] = MappingProxyType({Result.OK: OK, Result.PROBLEM: PROBLEM, Result.UNKNOWN: UNKNOWN})
EXPECTED = frozenset({"ready", "draining"})  # states in which a machine has answered before


async def of_pools(pools: Sequence[Pool], here: Here, examiners: Examiners) -> AsyncGenerator[Found]:
    """Each pool's cloud, one pool after the other."""
    for pool in pools:
        if pool.cloud.kind not in examiners:
            continue
        try:
            async for check in examiners[pool.cloud.kind]()(pool, here):
                yield _told(pool, check)
        except (CloudError, OSError) as error:
            yield Found(f"pool {pool.pool}", UNKNOWN, f"the {pool.cloud.kind} cloud: {error}")


def _told(pool: Pool, check: Check) -> Found:
    return Found(f"pool {pool.pool}: {check.what}", RESULTS[check.found], check.text)


async def of_machines(rows: Sequence[Instance], host: Callable[[Instance], Host]) -> AsyncGenerator[Found]:
    """Every machine that runs, all side by side, as they answer."""
    tasks = [asyncio.ensure_future(_machine(row, host)) for row in rows if row.state in HOSTED and row.address]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()


async def _machine(row: Instance, host: Callable[[Instance], Host]) -> Found:
    check = f"machine {row.id}"
    try:
        report = await host(row).report()
    except (UnreachableError, HostRefusedError, CloudError, OSError) as error:
        if row.state in EXPECTED:
            hint = f"`reconcile ssh {row.id}` says more" if row.cloud != "local" else f"`reconcile show {row.id}`"
            return Found(check, PROBLEM, f"it does not answer: {error}; {hint}")
        return Found(check, UNKNOWN, f"it is {row.state}, and has not answered yet: {error}")
    except (KeyError, ValueError, TypeError) as error:  # written by another version, or damaged
        return Found(check, UNKNOWN, f"this version makes no sense of its {row.cloud} settings: {error}")
    return Found(check, *judged(report))


def judged(report: Report) -> tuple[str, str]:
    """What a machine's answer comes to, and what to do."""
    agent = f"agent {report.agent}" if report.agent else "no agent yet"
    if report.watch is Watch.POWERLESS:
        return PROBLEM, (
            f"it answers, {agent}; but it may not shut itself down, and costs money for ever if it is forgotten: let "
            "its login user run `sudo -n shutdown`"
        )
    watch = ", ends itself when nobody cares for it" if report.watch is Watch.ARMED else ""
    return OK, f"it answers, {agent}{watch}"


async def both(
    pools: Sequence[Pool], rows: Sequence[Instance], here: Here, host: Callable[[Instance], Host], examiners: Examiners
) -> AsyncGenerator[Found]:
    """The clouds, then the machines."""
    async with aclosing(of_pools(pools, here, examiners)) as found:
        async for each in found:
            yield each
    async with aclosing(of_machines(rows, host)) as found:
        async for each in found:
            yield each
