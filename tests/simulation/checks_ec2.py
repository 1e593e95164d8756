"""What must hold in the end of machines that others bought, of host keys, of checkpoints and of secrets."""

from collections.abc import Iterator
from pathlib import Path

from reconciler.store.store import Store
from tests.simulation.jobs import left_by
from tests.simulation.world import World

SECRET = "open-sesame"  # the value of ${ACCESS}: no row may hold it
CHECKPOINT = "state"  # the folder in which jobs of pools that ask for it keep a checkpoint


def of_others(world: World, store: Store) -> Iterator[str]:
    """A machine that somebody else bought and that no pool uses any more has nothing of ours on it."""
    used = {row.cloud_id for row in store.instances()}
    for machine in world.machines.values():
        if machine.is_foreign and machine.lives and machine.cloud_id not in used:
            left = [job.id for job in machine.jobs.values() if job.lives]
            if left or machine.owner == "iris":
                yield f"{machine.cloud_id} was let go of, is marked {machine.owner!r} and runs {left}"


def pins(world: World, store: Store) -> Iterator[str]:
    """A row whose host answered has the key under which it did."""
    for row in store.instances():
        if row.boot_id and row.host_key != world.machines[row.cloud_id].host_key:
            yield f"{row.id} has pinned {row.host_key!r}, and its host is {world.machines[row.cloud_id].host_key}"


def given_checkpoints(world: World, store: Store, results: Path) -> Iterator[str]:
    """Each run was given the checkpoint of the latest attempt before it that brought one home."""
    for row in store.submissions():
        runs = {run.attempt: run for run in world.ledger.of(row.name)}
        homes = {number: results / row.label / str(number) / CHECKPOINT for number in range(1, row.attempts + 1)}
        for attempt in store.attempts_of([row.id]):
            earlier = [home for number, home in homes.items() if number < attempt.number and home.is_dir()]
            run = runs.get(attempt.id)
            if run and run.resumed != (left_by(earlier[-1]) if earlier else ""):
                yield f"{attempt.id} went on from {run.resumed!r}, and there is {earlier}"


def secrets(store: Store) -> Iterator[str]:
    """No value of a secret lies in the database."""
    with store.database.engine.connect() as connection:
        text = "\n".join(connection.connection.dbapi_connection.iterdump())
    if SECRET in text:
        yield "the value of ${ACCESS} lies in the database"
