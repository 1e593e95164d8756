"""`status`: what there is, in tables for people and in JSON for programs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import command, config_option, json_option
from reconciler.cli.printing import cell, lasting, number, print_json, say, show, state_cell, table

if TYPE_CHECKING:
    from reconciler.cli.deployment import Deployment
    from reconciler.model.rows import Attempt, Instance, Submission

MOST = 50  # submissions that the table shows without --all
_MANY_SCORES = 3  # scores that fit into a line


@command("status", "reconcile status", "reconcile status --all", "reconcile status --json | jq .submissions[].state")
@config_option()
@json_option()
@click.option(
    "-a", "--all", "everything", is_flag=True, help=f"Every submission and machine, not the last {MOST} alone."
)
@click.pass_context
def status(ctx: click.Context, *, as_json: bool, everything: bool) -> None:
    """Show pools, submissions and machines."""
    from reconciler.cli.deployment import looking

    with looking(ctx) as deployment:
        if as_json:
            print_json(snapshot(deployment))
            return
        _print_pools(deployment)
        _print_submissions(deployment, everything=everything)
        if rows := deployment.store.instances(include_final=everything):
            say()
            _print_instances(deployment, rows)


def snapshot(deployment: "Deployment") -> dict[str, Any]:
    """What `status --json` prints."""
    submissions = deployment.store.submissions()
    attempts = deployment.attempts(submissions)
    machines = deployment.store.instances(include_final=True)
    return {
        "controller": deployment.config.controller,
        "pools": list(pools_of(deployment, machines)),
        "submissions": [submission_json(deployment, row, attempts.get(row.attempt_id)) for row in submissions],
        "instances": [instance_json(row) for row in machines],
    }


def submission_json(deployment: "Deployment", row: "Submission", attempt: "Attempt | None") -> dict[str, Any]:
    """One submission, with what its open or last attempt knows."""
    home = deployment.results(attempt)
    return {
        "id": row.id,
        "name": row.name,
        "pool": row.pool,
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "exit_code": attempt.exit_code if attempt else None,
        "instance": attempt.instance_id if attempt else None,
        "results": str(home) if home else None,
    }


def instance_json(row: "Instance") -> dict[str, Any]:
    """One machine; `cloud_id` is null until the cloud has told it."""
    return {
        "id": row.id,
        "pool": row.pool,
        "type": row.type,
        "cloud_id": row.cloud_id or None,
        "state": row.state,
        "reason": row.reason,
    }


def pools_of(deployment: "Deployment", machines: Iterable["Instance"]) -> Iterator[dict[str, Any]]:
    """Each pool with its sizes, and the machines that live. A type that the spec no longer names has size 0."""
    from reconciler.lifecycle.instance import INSTANCE

    live = Counter((row.pool, row.type) for row in machines if not INSTANCE.is_final(row.state))
    wishes = deployment.desired.pools
    for name in sorted({*wishes, *(pool for pool, _ in live)}):
        sizes = {
            kind: {"min": size.low, "max": size.high, "live": live[name, kind]}
            for kind, size in (wishes[name].pool.size.items() if name in wishes else ())
        }
        for pool, kind in live:
            if pool == name and kind not in sizes:
                sizes[kind] = {"min": 0, "max": 0, "live": live[pool, kind]}
        yield {"pool": name, "sizes": sizes}


def pool_lines(deployment: "Deployment", machines: Iterable["Instance"]) -> Iterator[tuple[object, ...]]:
    """For each pool and type: machines that live, the size that is wanted, and what is queued for the pool."""
    counts = deployment.store.counts("submissions")
    for pool in pools_of(deployment, machines):
        queued = counts.get(pool["pool"], {}).get("queued", 0)
        for kind, size in pool["sizes"].items() or [("-", {"min": 0, "max": 0, "live": 0})]:
            low, high = size["min"], size["max"]
            yield pool["pool"], kind, size["live"], f"{low}..{high}" if low != high else low, queued


def _print_pools(deployment: "Deployment") -> None:
    rows = list(pool_lines(deployment, deployment.store.instances()))
    show(table(("POOL", "TYPE", "MACHINES", "SIZE", "QUEUED"), rows))
    if not rows:
        say("no pools")


def _print_submissions(deployment: "Deployment", *, everything: bool) -> None:
    rows = deployment.store.submissions(limit=None if everything else MOST)
    total = sum(sum(states.values()) for states in deployment.store.counts("submissions").values())
    say()
    if not rows:
        say("no submissions: `reconcile submit FOLDER` queues one")
        return
    now = deployment.store.now()
    attempts = deployment.attempts(rows)
    lines = [_line(deployment, row, attempts.get(row.attempt_id), now) for row in rows]
    columns = ("SUBMISSION", "POOL", "STATE", "FOR", "TRY", "ON", "WHAT")
    show(table(columns, lines, fold=("SUBMISSION", "WHAT")))
    if total > len(rows):
        say(f"… and {total - len(rows)} before them: --all")


def _line(deployment: "Deployment", row: "Submission", attempt: "Attempt | None", now: float) -> Sequence[object]:
    from reconciler.decide.settled import impossible

    never = impossible(deployment.desired, row) if row.state == "queued" else ""
    what = never or verdict(row, attempt)
    since = lasting(now - row.since)
    where = attempt.instance_id if attempt and attempt.closed is None else ""
    return row.label, row.pool, state_cell(row.state), since, row.attempts or "", where, cell(what)


def verdict(row: "Submission", attempt: "Attempt | None") -> str:
    """What there is to say of a submission in a line: its scores, or why it failed, or why it waits."""
    if row.state == "succeeded":
        return scores(attempt)
    if row.message and not row.message.startswith(row.reason):
        return f"{row.reason}: {row.message}" if row.reason else row.message
    return row.message or row.reason or row.last_error


def scores(attempt: "Attempt | None", most: int = _MANY_SCORES) -> str:
    """The first scores of an attempt, by name."""
    import json

    found: Mapping[str, Any] = json.loads(attempt.scores or "{}") if attempt else {}
    return ", ".join(f"{name} {number(value)}" for name, value in list(found.items())[:most])


def _print_instances(deployment: "Deployment", rows: Sequence["Instance"]) -> None:
    now, on = deployment.store.now(), busy(deployment)
    lines = [
        (row.id, row.pool, row.type, state_cell(row.state), lasting(now - row.since),
         trouble(row) or on.get(row.id, ""))
        for row in rows
    ]  # fmt: skip
    show(table(("INSTANCE", "POOL", "TYPE", "STATE", "FOR", "WHAT"), lines, fold=("INSTANCE", "WHAT")))


def trouble(row: "Instance") -> str:
    """Why a machine is as it is; while something fails, that too, so that a lasting reason does not hide it."""
    if row.reason and row.strikes and row.last_error:
        return f"{row.reason}; {row.last_error}"
    return row.reason or row.last_error


def busy(deployment: "Deployment") -> Mapping[str, str]:
    """Instance → the labels of what is on it."""
    recorded = deployment.recorded()
    on: dict[str, list[str]] = {}
    for row in recorded.submissions.values():
        if attempt := recorded.attempts.get(row.attempt_id):
            on.setdefault(attempt.instance_id, []).append(row.label)
    return {instance: ", ".join(labels) for instance, labels in on.items()}
