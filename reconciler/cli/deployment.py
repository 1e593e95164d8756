"""One deployment, as commands see it: its config, the specs in force, its database.

A command that only looks does not insist on good pool spec files, since it is needed most when one is broken, and
makes no database where there is none yet.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from attrs import evolve, frozen

from reconciler.cli.failing import USAGE, Stop
from reconciler.cli.options import config_path
from reconciler.cli.printing import warn
from reconciler.decide.case import Desired, PoolWish
from reconciler.model.rows import Attempt, Instance, PoolRow, Submission
from reconciler.model.snapshot import Recorded
from reconciler.source import wish
from reconciler.spec.canonical import UnreadableSpec, pool_from_json
from reconciler.spec.errors import did_you_mean
from reconciler.spec.loader import load_config, load_pools, queue_problems
from reconciler.spec.values import Config
from reconciler.store.engine import open_database
from reconciler.store.errors import StoreError
from reconciler.store.queries import Queries
from reconciler.store.store import PATIENCE, Store
from reconciler.wiring import open_store

IN_MEMORY = "sqlite://"
_SQLITE = "sqlite:///"
_AT_ONCE = 500  # ids named in one statement


@frozen(kw_only=True)
class Deployment:
    """What a command works with."""

    config: Config
    desired: Desired
    store: Store

    def recorded(self) -> Recorded:
        """What a pass would read, but for the heads of the queues."""
        return self.store.load(lambda _: {})

    def submission(self, named: str) -> Submission:
        """A submission by name, label or id. Ends with status 2 where there is none."""
        found = self.store.submission(named)
        if found is None:
            raise Stop(USAGE, f"there is no submission {named!r}{_like(named, self._submissions())}")
        return found

    def instance(self, named: str) -> Instance:
        """An instance by its id, or the cloud's. Ends with status 2 where there is none."""
        found = self.store.instance(named)
        if found is None:
            known = [row.id for row in self.store.instances()]
            raise Stop(USAGE, f"there is no instance {named!r}{_like(named, known)}")
        return found

    def either(self, named: str) -> Submission | Instance:
        """A submission, or else an instance. Ends with status 2 where there is neither."""
        found = self.store.submission(named) or self.store.instance(named)
        if found is None:
            known = [*self._submissions(), *(row.id for row in self.store.instances())]
            raise Stop(USAGE, f"there is no submission and no instance {named!r}{_like(named, known)}")
        return found

    def attempts(self, rows: Iterable[Submission]) -> dict[str, Attempt]:
        """The open or last attempt of each submission that has one, by its id."""
        ids = [row.attempt_id for row in rows if row.attempt_id]
        found: dict[str, Attempt] = {}
        for start in range(0, len(ids), _AT_ONCE):
            found |= self.store.attempts(ids[start : start + _AT_ONCE])
        return found

    def results(self, attempt: Attempt | None) -> Path | None:
        """The folder that an attempt's results came home to."""
        return self.config.results / attempt.results if attempt and attempt.results else None

    def _submissions(self) -> list[str]:
        return [row.label for row in self.store.submissions(limit=_AT_ONCE)]


@contextmanager
def looking(ctx: click.Context) -> Iterator[Deployment]:
    """A deployment to look at. Raises SpecError for config.yml, StoreError for the database."""
    config = load_config(config_path(ctx))
    fresh = is_missing(config)
    store = open_store(evolve(config, database=IN_MEMORY) if fresh else config, look=True)
    try:
        yield Deployment(config=config, desired=_in_force(config, store.pools()), store=store)
    finally:
        store.close()


@contextmanager
def peeking(config: Config) -> Iterator[Queries]:
    """The rows of a database as it is: none is made, and an old one is not brought up to date. Raises StoreError."""
    if is_missing(config):
        raise StoreError(f"{config.database}: nobody has made it yet")
    database = open_database(config.database, patience=PATIENCE, look=True)
    try:
        yield Queries(database)
    finally:
        database.close()


def is_missing(config: Config) -> bool:
    """Whether the database is a file that nobody has made yet."""
    file = config.database.removeprefix(_SQLITE)
    return config.database.startswith(_SQLITE) and not Path(file.partition("?")[0]).exists()


def _in_force(config: Config, rows: Iterable[PoolRow]) -> Desired:
    """The specs in force: the files' where they are good, else the last good ones, as the database keeps them."""
    read = load_pools(config.pools)
    for problem in (*read.problems, *queue_problems(config, read)):
        warn(problem)
    wishes: dict[str, PoolWish] = {}
    for pool in read.pools:
        try:
            wishes[pool.pool] = wish(pool)
        except OSError as error:
            warn(f"pool {pool.pool}: {error}")
    for row in rows:
        if row.present and row.name not in wishes and read.problems:
            try:
                pool = pool_from_json(row.spec)
            except UnreadableSpec:
                continue
            wishes[row.name] = PoolWish(pool=pool, spec=row.spec, spec_hash=row.spec_hash, problem=row.problem)
    return Desired(config=config, pools=wishes, complete=not read.problems)


def _like(word: str, known: Iterable[str]) -> str:
    """A hint, where something is close."""
    options = list(known)
    hint = did_you_mean(word, options) if options else ""
    return f"; {hint}" if hint.startswith("did you mean") else "; see `reconcile status`"
