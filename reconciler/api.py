"""What people ask for, from Python or by command: submit, cancel, retry, drain … Each is one guarded write and a bell.

import reconciler
reconciler.submit("config.yml", "my-work", pool="cpu", priority=5)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import evolve

from reconciler.decide.births import Arrival, birth, pool_for
from reconciler.decide.case import PoolWish
from reconciler.decide.settled import no_such_type
from reconciler.lifecycle.instance import BY_USER, INSTANCE, USER_STOP
from reconciler.lifecycle.submission import SUBMISSION
from reconciler.model.change import Insert, Step, Update
from reconciler.model.offer import Market
from reconciler.model.rows import Delivery, Instance, Submission
from reconciler.queues.content import InvalidSubmissionError, check_name, keep, survey
from reconciler.source import arrival_id
from reconciler.spec.canonical import from_json
from reconciler.spec.errors import did_you_mean
from reconciler.spec.loader import load_submission
from reconciler.spec.sinks import RAMP
from reconciler.spec.values import Config, SubmissionOptions
from reconciler.store.bell import ring
from reconciler.store.store import Store
from reconciler.wiring import new_id, open_store, read_config

# What each event that people ask for makes of an instance.
DONE: Mapping[str, str] = MappingProxyType({"drain": "drained", "end": "terminated", "start": "started"})
TRIES = 5  # guarded writes that may be stale because the loop was quicker


class RequestError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


def submit(
    config: str | Path, folder: str | Path, *, pool: str = "", name: str = "", priority: int | None = None
) -> str:
    """Queue a copy of a folder as a submission, and answer with its id.

    Raises SpecError for a bad config, InvalidSubmissionError for a bad name or folder, RequestError for a pool or type
    that is not there, StoreError for the database.
    """
    read, specs = read_config(Path(config))
    asked = {key: value for key, value in {"pool": pool or None, "priority": priority}.items() if value is not None}
    arrival = checked(read, specs.desired().pools, Path(folder), name=name or None, asked=asked)
    store = open_store(read)
    try:
        return enqueue(read, store, Path(folder), arrival).id
    finally:
        store.close()


def checked(
    config: Config, pools: Mapping[str, PoolWish], folder: Path, *, name: str | None = None, asked: Mapping[str, Any]
) -> Arrival:
    """What would be submitted, by the folder's name where none is given. Nothing is written.

    Fields of SubmissionOptions in `asked` go before submission.yml.

    Raises SpecError for a bad submission.yml, InvalidSubmissionError for a bad name or folder, RequestError for a pool,
    or a type of machine, that is not there.
    """
    name = folder.resolve().name if name is None else name
    check_name(name)
    for _ in survey(folder):
        pass
    options = _merged(_options(folder), asked)
    wanted = pool_for(options.pool, config.queue.pool, pools)
    if wanted not in pools:
        known = ", ".join(pools)
        raise RequestError(
            f"there is no pool {wanted!r}; name one of: {known}" if wanted else f"name a pool with --pool: {known}"
        )
    if why := no_such_type(pools[wanted].pool, options.instance_types):
        raise RequestError(f"{why}; {did_you_mean(options.instance_types[0], pools[wanted].pool.size)}")
    return Arrival(id=new_id(), name=name, label=name, content="", options=options, pool=wanted, source="command")


def enqueue(config: Config, store: Store, folder: Path, arrival: Arrival) -> Submission:
    """Keep a folder by content, and write its submission."""
    content = keep(folder, config.state / "content")
    return _born(config, store, arrival.name, evolve(arrival, content=content))


def retry(config: Config, store: Store, row: Submission) -> Submission:
    """A new submission of the same content and options.

    Raises RequestError for one that is not final, and for one that waits or runs again already.
    """
    if not SUBMISSION.is_final(row.state):
        raise RequestError(f"{row.label} is {row.state}: only what has ended can be tried again")
    if not row.content:
        raise RequestError(f"{row.label} was invalid: {row.message}; mend its folder and submit it again")
    is_ramp = row.source.startswith(RAMP)  # which hears how it ends this time, and may ask for the same by itself
    queue, key = (row.source, row.source_key) if is_ramp else ("retry", row.id)
    before = store.latest_by_key(queue).get(key, row) if is_ramp else store.latest_retry(row)
    if not SUBMISSION.is_final(before.state):
        raise RequestError(_again(row.label, before))
    options = SubmissionOptions(
        pool=row.pool,
        instance_types=tuple(from_json(row.types, tuple[str, ...])),
        priority=row.priority,
        limit=row.limit,
        env=from_json(row.env, dict[str, str]),
    )
    return _born(config, store, row.name, Arrival(
        id=arrival_id(queue, key, before), name=row.name, label=row.name, content=row.content, options=options,
        pool=row.pool, source=row.source if is_ramp else "command", source_key=row.source_key if is_ramp else "",
        retry_of=row.id,
    ))  # fmt: skip


def cancel(store: Store, row: Submission) -> None:
    """Wish a submission cancelled; the loop sees to it. Raises RequestError for one that has ended."""
    for _ in range(TRIES):
        if SUBMISSION.is_final(row.state):
            raise RequestError(f"{row.label} has ended already: it {row.state}")
        wish = Update(table="submissions", id=row.id, version=row.version, sets={"cancel_wanted": True})
        if row.cancel_wanted or _write(store, Step((wish,), f"{row.label}: to be cancelled")):
            return
        row = store.submission(row.id) or row
    raise RequestError(f"{row.label} is changing too fast; try again")


def drain(store: Store, row: Instance) -> None:
    """Give an instance no new work; it ends when nothing is on it. Raises RequestError where that means nothing."""
    _move(store, row, "drain", "drained")


def terminate(store: Store, row: Instance) -> None:
    """End an instance now, also one that was adopted; what runs on it is lost, and tried again by its pool's retries.

    Raises RequestError where that means nothing.
    """
    _move(store, row, "end", BY_USER)


def stop(store: Store, row: Instance) -> None:
    """Stop an instance, once nothing is on it, and leave it stopped. Raises RequestError where that cannot be."""
    if row.market == Market.SPOT:
        raise RequestError(f"{row.id} is a spot machine, which cannot be stopped: drain or terminate it")
    if row.state != "ready":
        raise RequestError(f"{row.id} is {row.state}: only what is ready can be stopped; drain or terminate it")
    _move(store, row, "drain", USER_STOP)


def start(store: Store, row: Instance) -> None:
    """Start a stopped instance. Raises RequestError for one that is not stopped."""
    _move(store, row, "start", "")


def _move(store: Store, row: Instance, event: str, reason: str) -> None:
    """One transition that a person asks for, by the guard that every transition has."""
    edge = next(INSTANCE.edges_from(row.state, event), None)
    if edge is None:
        raise RequestError(f"{row.id} is {row.state}: it cannot be {DONE[event]} now")
    move = Update(
        table="instances", id=row.id, version=row.version, event=event, source=row.state, target=edge.target,
        sets={"reason": reason},
    )  # fmt: skip
    if not _write(store, Step((move,), f"{row.id}: {DONE[event]} by the user")):
        raise RequestError(f"{row.id} has just changed; look again with `reconcile instances`")


def retry_deliveries(store: Store, rows: Sequence[Delivery]) -> int:
    """Try again what was given up; answers with how many."""
    moves = [
        Step((Update(table="deliveries", id=row.id, version=row.version, event="retry", source="given up",
                     target="pending", sets={"reason": ""}),), f"{row.id}: tried again")
        for row in rows
        if row.state == "given up"
    ]  # fmt: skip
    done = store.apply(moves, now=store.now(), by="command") if moves else []
    ring(store)
    return sum(done)


def _born(config: Config, store: Store, name: str, arrival: Arrival) -> Submission:
    for _ in range(TRIES):
        step = birth(config, evolve(arrival, label=store.next_label(name)), store.now())
        if _write(store, step):
            born = step.writes[0]
            assert isinstance(born, Insert)
            row: Submission = born.row
            return row
        if (twin := store.submission(arrival.id)) is not None:
            raise RequestError(_again(name, twin))
    raise RequestError(f"too many submissions called {name} arrive at once; try again")


def _again(label: str, twin: Submission) -> str:
    return f"{label} is queued again already as {twin.label}, which is {twin.state}"


def _write(store: Store, step: Step) -> bool:
    (done,) = store.apply([step], now=store.now(), by="command")
    ring(store)
    return done


def _options(folder: Path) -> SubmissionOptions:
    file = folder / "submission.yml"
    return load_submission(file) if file.is_file() else SubmissionOptions()


def _merged(own: SubmissionOptions, asked: Mapping[str, Any]) -> SubmissionOptions:
    """What is asked for replaces what the folder says; of environments, name by name."""
    return evolve(own, **{**asked, "env": {**own.env, **asked.get("env", {})}})


__all__ = [
    "InvalidSubmissionError",
    "RequestError",
    "cancel",
    "checked",
    "drain",
    "enqueue",
    "retry",
    "retry_deliveries",
    "start",
    "stop",
    "submit",
    "terminate",
]
