"""Keeps the pools' rows in step with their files: the last good spec stays in force, a deleted file drains its pool."""

from reconciler.decide.case import Case, Draft
from reconciler.decide.holds import asked_anew
from reconciler.model.change import Insert, Step, Update
from reconciler.model.rows import PoolRow


def specs(case: Case, draft: Draft) -> None:
    """Record new, edited, broken, mended and deleted pool files."""
    for name, wish in case.desired.pools.items():
        row = case.recorded.pools.get(name)
        if row is None:
            new = PoolRow(name, 1, wish.spec, wish.spec_hash, True, wish.problem, case.now)
            draft.add(Step((Insert(table="pools", row=new),), f"pool {name}: new"), ("pools", name))
            continue
        now = {"spec": wish.spec, "spec_hash": wish.spec_hash, "present": True, "problem": wish.problem}
        changed = {key: value for key, value in now.items() if getattr(row, key) != value}
        if changed:
            _write(case, draft, row, changed, wish.problem or "edited")
    if not case.desired.complete:
        return
    for name, row in case.recorded.pools.items():
        if name not in case.desired.pools and row.present:
            _write(case, draft, row, {"present": False}, "its file is gone")


def _write(case: Case, draft: Draft, row: PoolRow, sets: dict[str, object], why: str) -> None:
    update = Update(table="pools", id=row.name, version=row.version, sets={**sets, "since": case.now})
    anew = asked_anew(case, row.name) if sets.keys() - {"problem"} else []
    draft.add(Step((update, *anew), f"pool {row.name}: {why}"), ("pools", row.name))
