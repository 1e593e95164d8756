"""Fills a database with a converged world, in bulk, as if it had grown there: busy machines and a long queue."""

import json
from collections.abc import Sequence
from typing import Any

from attrs import asdict, evolve, frozen
from sqlalchemy import insert

from reconciler.decide.births import Arrival, submission_row
from reconciler.decide.case import PoolWish
from reconciler.model.assignment import Assignment
from reconciler.model.job import JobReport, JobState, Report
from reconciler.model.offer import Machine, MachineState
from reconciler.model.rows import Attempt, Instance, PoolRow, Submission
from reconciler.model.tags import CONTROLLER, DATABASE, POOL
from reconciler.spec.canonical import settings_to_json
from reconciler.spec.places import cloud_settings, place
from reconciler.spec.values import Config, SubmissionOptions
from reconciler.store.store import Store
from reconciler.store.tables import BY_NAME

IN_A_LAUNCH = 50


@frozen(kw_only=True)
class Busy:
    """One machine with one job on it, as the database knows both."""

    instance: Instance
    submission: Submission
    attempt: Attempt

    def machine(self, tags: dict[str, str]) -> Machine:
        """As its cloud lists it."""
        row = self.instance
        return Machine(
            cloud_id=row.cloud_id, token=row.token, index=row.index, state=MachineState.RUNNING, type=row.type,
            address=row.address, tags=tags,
        )  # fmt: skip

    def report(self) -> Report:
        """As its host reports it."""
        job = JobReport(job=self.attempt.id, state=JobState.RUNNING)
        return Report(boot_id="boot", uptime=60.0, agent="1", jobs={job.job: job}, mark="0,running")


def fill(store: Store, config: Config, wish: PoolWish, *, machines: int, queued: int) -> list[Busy]:
    """Insert the pool, busy machines and queued submissions; returns the busy ones."""
    now = store.now()
    pool = wish.pool.pool
    busy = [_busy(config, wish, number, now) for number in range(machines)]
    _insert(store, "pools", [PoolRow(pool, 1, wish.spec, wish.spec_hash, True, "", now)])
    _insert(store, "instances", [one.instance for one in busy])
    _insert(store, "submissions", [one.submission for one in busy])
    _insert(store, "attempts", [one.attempt for one in busy])
    _insert(store, "submissions", [_queued(pool, f"q{number}", now) for number in range(queued)])
    return busy


def tags(store: Store, pool: str) -> dict[str, str]:
    """What machines of this database carry."""
    owner = store.identity
    return {CONTROLLER: owner.controller, DATABASE: owner.database_id, POOL: pool}


def _insert(store: Store, table: str, rows: Sequence[Any]) -> None:
    if rows:
        with store.database.writing() as connection:
            connection.execute(insert(BY_NAME[table]), [asdict(row, recurse=False) for row in rows])


def _queued(pool: str, name: str, now: float) -> Submission:
    arrival = Arrival(
        id=name, name=name, label=name, content=f"content-{name}", options=SubmissionOptions(), pool=pool,
        source="command",
    )  # fmt: skip
    return submission_row(arrival, now)


def _busy(config: Config, wish: PoolWish, number: int, now: float) -> Busy:
    pool = wish.pool
    where = place(pool, config)
    instance = Instance(
        id=f"{pool.pool}-{number}", version=4, pool=pool.pool, token=f"token-{number // IN_A_LAUNCH}",
        index=number % IN_A_LAUNCH, type=next(iter(pool.size)), market="on-demand", zone="", cloud=where.cloud,
        place=where.settings, settings=cloud_settings(pool, config), spec_hash=wish.spec_hash, state="ready", reason="",
        since=now, born=now, cloud_id=f"i-{number}", address=f"/machines/{number}", boot_id="boot", host_key="",
        adopted=False, strikes=0, strikes_since=0.0, not_before=0.0, last_error="", claim_by="", claim_until=0.0,
    )  # fmt: skip
    row = _queued(pool.pool, f"r{number}", now)
    orders = Assignment(
        attempt=f"{row.id}.1", submission=row.name, pool=pool.pool, content=row.content, workload=pool.workload.kind,
        settings=settings_to_json(pool.workload), limit=pool.deadlines.run, env=json.loads(row.env),
        max_bytes=pool.outputs.bytes, max_files=pool.outputs.files,
    )  # fmt: skip
    attempt = Attempt(
        id=orders.attempt, submission_id=row.id, number=1, instance_id=instance.id, boot_id="boot",
        frozen=orders.to_json(), opened=now, started=now, ended=None, closed=None, outcome="", exit_code=None,
        peak_memory=None, message="", scores="{}", results="",
    )  # fmt: skip
    running = evolve(row, version=3, state="running", attempts=1, attempt_id=attempt.id)
    return Busy(instance=instance, submission=running, attempt=attempt)
