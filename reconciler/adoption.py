"""Brings back what is ours after the database was lost: machines, what runs on them, and what has come home.

Nothing is written before all of it is known, so that a person can be shown it first; and nothing on a machine changes.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, frozen

from reconciler.act.collect import read_home
from reconciler.clouds.base import CloudError
from reconciler.decide.case import Desired
from reconciler.decide.recovery import (
    Known,
    Result,
    Survivor,
    finished_steps,
    former_id,
    machine_step,
    running_step,
)
from reconciler.decide.sightings import is_over
from reconciler.hosts.base import Host, HostRefusedError, UnreachableError
from reconciler.model.change import Step
from reconciler.model.job import Report
from reconciler.model.offer import Listing, Machine, MachineState, Place
from reconciler.model.papers import Papers
from reconciler.model.tags import POOL
from reconciler.observe import PATIENCE, listings
from reconciler.spec.places import cloud_settings, place
from reconciler.spec.values import Config, Pool
from reconciler.store.bell import ring
from reconciler.store.store import Store
from reconciler.wiring import Machines, here, new_id

RUNS = frozenset({MachineState.PENDING, MachineState.RUNNING})


@frozen(kw_only=True)
class Adoption:
    """What would be written, and what cannot be brought back, with the reason and what to do."""

    steps: tuple[Step, ...]
    problems: tuple[str, ...]


async def survey(config: Config, desired: Desired, store: Store) -> Adoption:
    """Look at the clouds, the machines without a row, and the results."""
    machines = Machines(here(config, store.identity))
    try:
        return await _survey(config, desired, store, machines)
    finally:
        await machines.close()


def adopt(store: Store, adoption: Adoption) -> int:
    """Write it; answers with how many steps applied. What somebody else wrote meanwhile stays as it is."""
    done = store.apply(adoption.steps, now=store.now(), by="command") if adoption.steps else []
    ring(store)
    return sum(done)


async def _survey(config: Config, desired: Desired, store: Store, machines: Machines) -> Adoption:
    pools = {name: (wish.pool, place(wish.pool, config)) for name, wish in desired.pools.items()}
    known = _known(store, pools)
    places = dict.fromkeys((*(where for _, where in pools.values()), *store.places()))
    seen = await listings(places, lambda where: machines.cloud(where, ""), machines.here.owner)
    problems = [f"{each.place.cloud}: {each.error}: what it holds is not known" for each in seen if not each.complete]
    survivors: list[Survivor] = []
    for asked in await asyncio.gather(*(_ask(*one, config, pools, machines) for one in _without_rows(seen, store))):
        if isinstance(asked, Survivor):
            survivors.append(asked)
        else:
            problems.append(asked)
    steps: list[Step] = []
    for survivor in survivors:
        found = former_id(survivor)
        instance_id = found if found and found not in known.instances else f"{survivor.pool.pool}-{new_id()}"
        steps.append(machine_step(survivor, instance_id, known))
        known = evolve(known, instances=known.instances | {instance_id})
        for papers in survivor.papers:
            boot_id = survivor.report.boot_id if survivor.report else ""
            step = running_step(papers, instance_id, boot_id, known)
            if step is None:
                problems.append(f"{papers.attempt.id} is on {instance_id}, and the database knows better: left alone")
                continue
            steps.append(step)
            known = _with(known, papers)
    home = await asyncio.to_thread(lambda: tuple(_results(config.results)))
    return Adoption(steps=(*steps, *finished_steps(home, known)), problems=tuple(problems))


def _known(store: Store, pools: Mapping[str, tuple[Pool, Place]]) -> Known:
    submissions = {row.id: row for row in store.submissions()}
    return Known(
        now=store.now(),
        instances=frozenset(row.id for row in store.instances(include_final=True)),
        attempts=frozenset(attempt.id for attempt in store.attempts_of(submissions)),
        submissions=submissions,
        labels=frozenset(row.label for row in submissions.values()),
        pools=pools,
    )


def _with(known: Known, papers: Papers) -> Known:
    row = papers.submission
    return evolve(known, submissions={**known.submissions, row.id: row}, labels=known.labels | {row.label})


def _without_rows(seen: Iterable[Listing], store: Store) -> list[tuple[Machine, Place]]:
    rows = store.instances(include_final=True)
    tokens, bound = {(row.token, row.index) for row in rows}, {row.cloud_id for row in rows}
    return [
        (machine, listing.place)
        for listing in seen
        for machine in listing.machines
        if not is_over(machine) and machine.state is not MachineState.SHUTTING_DOWN
        if (machine.token, machine.index) not in tokens and machine.cloud_id not in bound
    ]


async def _ask(
    machine: Machine, where: Place, config: Config, pools: Mapping[str, tuple[Pool, Place]], machines: Machines
) -> Survivor | str:
    """What a machine says of itself; or why it cannot be brought back."""
    name = machine.tags.get(POOL, "")
    if name not in pools:
        return f"{machine.cloud_id} is of pool {name or '(none)'}, which is not there: write its file, or end it"
    pool = pools[name][0]
    survivor = Survivor(machine=machine, place=where, pool=pool, settings=cloud_settings(pool, config))
    if machine.state not in RUNS:
        return survivor
    host = machines.cloud(where, survivor.settings).host(machine, survivor.settings)
    try:
        async with asyncio.timeout(PATIENCE):
            report = await host.report()
            papers = await _papers(host, report)
    except (CloudError, UnreachableError, HostRefusedError, TimeoutError) as error:
        return f"{machine.cloud_id} does not answer ({str(error) or 'no answer'}): adopt again when it does"
    finally:
        await host.close()
    return evolve(survivor, report=report, papers=papers)


async def _papers(host: Host, report: Report) -> tuple[Papers, ...]:
    """Those of every job that has any: a machine's setup has none."""
    found = []
    for job in report.jobs:
        text = await host.papers(job)
        papers = _read(text)
        if papers is not None and papers.attempt.id == job:
            found.append(papers)
    return tuple(found)


def _results(folder: Path) -> Iterable[Result]:
    """Every attempt whose results are home, with papers that can be read."""
    for manifest in sorted(folder.glob("*/*/manifest.json")):
        home = read_home(manifest.parent)
        papers = _read(home.papers) if home else None
        if home and papers:
            relative = manifest.parent.relative_to(folder).as_posix()
            yield Result(papers=papers, report=home.report, verdict=home.verdict, folder=relative)


def _read(text: str) -> Papers | None:
    try:
        return Papers.from_json(text)
    except ValueError:
        return None


def lines(adoption: Adoption) -> Sequence[str]:
    """What would be written, a line each, for people."""
    return [step.why for step in adoption.steps]
