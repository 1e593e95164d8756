"""Reads config.yml, pool spec files and submission.yml. What is wrong comes as a SpecError that names every place."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from reconciler.model.offer import Market
from reconciler.spec.canonical import check_readable
from reconciler.spec.errors import Problem, SpecError, shown
from reconciler.spec.fields import anchored, anchored_database
from reconciler.spec.forms import Content, keys_of, mark
from reconciler.spec.options import KINDS, Kinds, LocalCloud
from reconciler.spec.plain import Plain
from reconciler.spec.structure import Findings, structure
from reconciler.spec.tree import read_tree
from reconciler.spec.values import Config, Pool, SubmissionOptions

SUFFIXES = (".yml", ".yaml")
_READABLE = "let us read all of it, or name another"


@frozen(kw_only=True)
class Pools:
    """What a folder of pool spec files says. One bad file does not hide the others."""

    pools: tuple[Pool, ...] = ()  # by file name
    problems: tuple[Problem, ...] = ()
    refused: tuple[Path, ...] = ()  # files that are there, but cannot be used: their last good spec stays in force

    @property
    def by_name(self) -> Mapping[str, Pool]:
        """The good pools by their names."""
        return {pool.pool: pool for pool in self.pools}


def load_config(path: Path, *, environ: Mapping[str, str] = os.environ) -> Config:
    """config.yml, with every path made absolute. Raises SpecError."""
    plain = _plain(path, environ)
    config: Config = _structured(plain, Config, KINDS)
    config = attrs.evolve(config, database=anchored_database(config.database, anchored(path.parent, Path.cwd())))
    problems = list(_swallowed(config, plain))
    if problems:
        raise SpecError(problems)
    return config


def load_pool(path: Path, kinds: Kinds = KINDS, *, environ: Mapping[str, str] = os.environ) -> Pool:
    """One pool spec file, with every path on this computer made absolute. Raises SpecError."""
    plain = _plain(path, environ)
    pool: Pool = _structured(plain, Pool, kinds)
    problems = [*_bad_files(pool, plain), *_bad_contents(pool, plain)]
    if pool.adopt and isinstance(pool.cloud.settings, LocalCloud):
        hint = "remove it: machines of the local cloud are all made by us"
        problems.append(plain.problem(("adopt",), "the local cloud has no machines of others", hint, at_key=True))
    if pool.idle.stop is not None and Market.SPOT in pool.market:
        what, hint = "a spot machine cannot be stopped", "write one time, such as 10m, or market: on-demand"
        problems.append(plain.problem(("idle",), what, hint))
    if problems:
        raise SpecError(problems)
    return pool


def _bad_files(pool: Pool, plain: Plain) -> Iterable[Problem]:
    """Files that are to be brought to machines, and are not there or cannot be read."""
    for key, here in zip(plain.value.get("files", ()), pool.files, strict=True):
        if not os.path.lexists(here):
            yield plain.problem(("files", key), f"there is no {shown(key)}", "check the path", at_key=True)
        elif why := _unreadable(here):
            yield plain.problem(("files", key), f"{shown(key)} cannot be read: {why}", _READABLE, at_key=True)


def _bad_contents(pool: Pool, plain: Plain) -> Iterable[Problem]:
    """The same of the files that the cloud's settings name: what they say is part of what a machine is."""
    settings: Any = pool.cloud.settings
    options: Any = type(settings)
    for key in keys_of(options).values():
        file = getattr(settings, key.field)
        if not mark(key.annotation, Content) or file is None:
            continue
        path = ("cloud", pool.cloud.kind, key.name)
        if not file.is_file():
            yield plain.problem(path, f"there is no file {shown(str(file))}", "check the path")
        elif why := _unreadable(file):
            yield plain.problem(path, f"{shown(str(file))} cannot be read: {why}", _READABLE)


def _unreadable(here: Path) -> str:
    """Why a file, or something in a folder, cannot be read; empty where it can."""
    try:
        check_readable(here)
    except OSError as error:
        below = error.filename and Path(str(error.filename)) != here
        return f"{error.filename}: {error.strerror}" if below else str(error.strerror)
    return ""


def load_submission(path: Path, *, environ: Mapping[str, str] | None = None) -> SubmissionOptions:
    """submission.yml of one submission. Raises SpecError.

    Submissions are other people's files: unless it is given, they see nothing of the environment.
    """
    options: SubmissionOptions = _structured(_plain(path, environ or {}), SubmissionOptions, KINDS)
    return options


def load_pools(folder: Path, kinds: Kinds = KINDS, *, environ: Mapping[str, str] = os.environ) -> Pools:
    """Every pool spec file of a folder: those that are good, and all that is wrong with the others."""
    try:
        files = sorted(each for each in folder.iterdir() if each.suffix in SUFFIXES and each.name[0] != ".")
    except OSError as error:
        hint = "make the folder, or name another as pools: in config.yml"
        return Pools(problems=(Problem(folder, 1, 1, f"cannot be listed: {error.strerror}", hint),))
    if not files:
        return Pools(problems=(Problem(folder, 1, 1, "holds no pool spec file", "write one, such as cpu.yml"),))
    good: list[Pool] = []
    problems: list[Problem] = []
    for file in files:
        try:
            good.append(load_pool(file, kinds, environ=environ))
        except SpecError as error:
            problems += error.problems
    for twins in _namesakes(good):
        problems += _twice(twins, environ)
        good = [pool for pool in good if pool not in twins]
    refused = tuple(file for file in files if all(pool.source != _absolute(file) for pool in good))
    return Pools(pools=tuple(good), problems=tuple(problems), refused=refused)


def queue_problems(config: Config, pools: Pools, *, environ: Mapping[str, str] = os.environ) -> tuple[Problem, ...]:
    """What the queue in config.yml says that is not so; nothing of pools while a refused file may hold its pool."""
    names = sorted(pools.by_name)
    if why := _unlistable(config.queue.folder):
        path, what = ("queue", "folder"), f"it cannot be listed: {why}"
        hint = "make the folder, or name another"
    elif pools.refused or not names:
        return ()
    elif config.queue.pool and config.queue.pool not in names:
        path, what = ("queue", "pool"), f"there is no pool {shown(config.queue.pool)}"
        hint = f"name one of {', '.join(names)}"
    elif config.queue.folder and not config.queue.pool and len(names) > 1:
        path, what, hint = ("queue", "folder"), "there are several pools", f"add pool: and one of {', '.join(names)}"
    else:
        return ()
    try:
        return (_plain(config.source, environ).problem(path, what, hint),)
    except SpecError as error:  # edited since
        return error.problems


def _unlistable(folder: Path | None) -> str:
    """Why a folder cannot be listed; empty where it can, or where there is none to list."""
    try:
        next(folder.iterdir() if folder else iter(()), None)
    except OSError as error:
        return str(error.strerror)
    return ""


def _plain(path: Path, environ: Mapping[str, str]) -> Plain:
    root, problems = read_tree(path)
    plain = Plain(path, root, environ)
    plain.problems += problems
    return plain


def _structured(plain: Plain, cls: type, kinds: Kinds) -> Any:
    """The frozen value, with its paths absolute and its source known."""
    problems = list(plain.problems)
    try:
        value = structure(plain.value, cls, kinds)
    except Findings as found:
        found_too = (plain.problem(each.path, each.what, each.hint, at_key=each.at_key) for each in found.findings)
        problems += (each for each in found_too if (each.line, each.column) not in plain.told)
    if problems:
        raise SpecError(problems)
    source = _absolute(plain.file)
    value = _anchored(value, source.parent)
    return attrs.evolve(value, source=source) if "source" in attrs.fields_dict(cls) else value


def _absolute(file: Path) -> Path:
    return anchored(file, Path.cwd())


def _anchored(value: Any, folder: Path) -> Any:
    """The value with every path in it absolute: paths on machines are text, so a Path is always one of ours."""
    if isinstance(value, Path):
        return anchored(value, folder)
    if isinstance(value, Mapping):
        return {_anchored(key, folder): each for key, each in value.items()}
    if attrs.has(type(value)):
        parts = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        moved = {name: _anchored(part, folder) for name, part in parts.items() if name != "source"}
        return attrs.evolve(value, **moved)
    return value


def _swallowed(config: Config, plain: Plain) -> Iterable[Problem]:
    """Folders that lie in the queue's folder would be taken for submissions."""
    queue = config.queue.folder
    for key in ("pools", "results", "state"):
        if queue is not None and getattr(config, key).is_relative_to(queue):
            path = (key,) if key in plain.value else ("queue", "folder")
            yield plain.problem(
                path, f"{key} lies in the queue's folder", "keep it outside: all in there is a submission"
            )


def _namesakes(pools: Iterable[Pool]) -> list[list[Pool]]:
    named: defaultdict[str, list[Pool]] = defaultdict(list)
    for pool in pools:
        named[pool.pool].append(pool)
    return [twins for twins in named.values() if len(twins) > 1]


def _twice(twins: list[Pool], environ: Mapping[str, str]) -> list[Problem]:
    """Neither of two pools of one name is used: which is meant, nobody can tell."""
    first, *others = twins
    hint = "give each a name of its own"
    what = f"there is another pool {shown(first.pool)}, in {first.source.name}"
    problems = []
    for other in others:
        try:
            problems.append(_plain(other.source, environ).problem(("pool",), what, hint))
        except SpecError as error:  # edited since
            problems += error.problems
    return problems
