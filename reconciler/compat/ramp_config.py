"""RAMP's config files as they are, read as a deployment of ours: config, pool, and a line for what changed.

One event is one deployment: its controller is the event's name, its database lies beside its file. Nothing is written.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
from attrs import field, frozen

from reconciler.compat.draft import Draft
from reconciler.compat.ramp_drafts import Drafts, Region
from reconciler.compat.ramp_file import CONFIG, EVENTS, RampFile, event_files, is_ramp, read_file
from reconciler.compat.ramp_sections import gather
from reconciler.spec.errors import Problem, SpecError
from reconciler.spec.fields import anchored
from reconciler.spec.options import KINDS
from reconciler.spec.structure import Findings, structure
from reconciler.spec.values import Config, Pool

_Value = TypeVar("_Value")

__all__ = ["RampDeployment", "is_ramp", "read", "read_all"]


@frozen(kw_only=True)
class RampDeployment:
    """One event of RAMP's, as ours."""

    event: str  # as RAMP has it
    files: tuple[Path, ...]  # that say it: its own, and the database's if that is another
    # Its `pools` names a folder that is not there: `pools` here is what it would hold. Its URLs may hold a password.
    config: Config = field(repr=False)
    pools: tuple[Pool, ...]
    environ: Mapping[str, str] = field(repr=False)  # secrets, by the names that the pools know them by: over os.environ
    exports: Mapping[str, str]  # the same names → the key of RAMP's file that holds the value
    notes: tuple[str, ...]  # one line each, for people
    ends: bool  # the dispatcher's hunger_policy: it ends when all is trained
    submissions: Path  # RAMP's folder of submissions, where no database says it
    config_draft: Draft = field(repr=False, eq=False)
    pool_draft: Draft = field(repr=False, eq=False)


def boto3_region(profile: str | None) -> str | None:
    """The region by boto3's own chain: AWS_DEFAULT_REGION, then the profile's in ~/.aws. None where it finds none."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        region: str | None = boto3.session.Session(profile_name=profile).region_name
    except BotoCoreError:
        return None
    return region


def read(
    *paths: Path, event: str | None = None, cwd: Path | None = None, region: Region = boto3_region,
    cpus: int | None = None,
) -> RampDeployment:  # fmt: skip
    """The one event that the files say: its own and the database's, or one file of both. Raises SpecError.

    `event` goes over the event_name of the file; relative paths are relative to `cwd`, else to the working directory.
    """
    found = read_all(paths, event=event, cwd=cwd, region=region, cpus=cpus)
    if len(found) > 1:
        named = ", ".join(each.event for each in found)
        raise SpecError([Problem(paths[0], 1, 1, f"there are several events: {named}", "name the file of one")])
    return found[0]


def read_all(
    paths: Sequence[Path], *, event: str | None = None, cwd: Path | None = None, region: Region = boto3_region,
    cpus: int | None = None,
) -> tuple[RampDeployment, ...]:  # fmt: skip
    """Every event of some files and folders, in their order. Raises SpecError with all that is wrong in any.

    A file without a worker is the database's, for the events that name none; a folder is RAMP's deployment folder, or
    the `events` in it. An event's file in `events/NAME/` finds the database's by itself.
    """
    here = cwd or Path.cwd()
    read_in = [read_file(each) for path in paths for each in _files(anchored(path, here))]
    databases = [each for each in read_in if not each.has("aws", "worker")]
    events = [each for each in read_in if each.has("aws", "worker")]
    if not events:
        events = [read_file(each) for database in databases for each in event_files(database.path.parent)]
    if not events:
        what, hint = "no file says who trains", "name an event's file, with an aws: or a worker: section"
        raise SpecError([*(p for each in read_in for p in each.problems), Problem(paths[0], 1, 1, what, hint)])
    taken: dict[Path, str] = {}  # file → controller
    found: list[RampDeployment] = []
    problems: list[Problem] = []
    for file in events:
        try:
            one = _deployment(file, _database(file, databases), event=event, taken=taken, here=here, region=region,
                              cpus=cpus or os.cpu_count() or 1)  # fmt: skip
        except SpecError as error:
            problems += error.problems
            continue
        if one.config.controller in taken.values():
            hint = "give each event a name of its own"
            problems.append(Problem(file.path, 1, 1, f"another file is of the event {one.event} too", hint))
        if file.has("sqlalchemy") and databases:
            unused = f"{file.path}: its own sqlalchemy: counts, not that of {databases[0].path}"
            one = attrs.evolve(one, notes=(*one.notes, unused))
        taken[file.path] = one.config.controller
        found.append(one)
    if problems:
        raise SpecError(dict.fromkeys(problems))
    return tuple(found)


def _files(path: Path) -> list[Path]:
    """The files that a path names: itself, or those of RAMP's folders, the database's first."""
    if path.is_dir():
        events = event_files(path)
        root = path if (path / EVENTS).is_dir() else path.parent
        if not events:
            raise SpecError([Problem(path, 1, 1, "no event lies here", f"name a folder of NAME/{CONFIG} files")])
        return [*([root / CONFIG] if (root / CONFIG).is_file() else []), *events]
    return [path]


def _database(event: RampFile, given: Sequence[RampFile]) -> RampFile | None:
    """The file that says where the event's database is, if its own does not."""
    if event.has("sqlalchemy"):
        return None
    if len(given) > 1:
        named = ", ".join(each.path.name for each in given)
        raise SpecError([Problem(event.path, 1, 1, f"several files could say its database: {named}", "name one")])
    if given:
        return given[0]
    path = event.path
    above = path.parents[2] / CONFIG if len(path.parents) > 2 and path.parents[1].name == EVENTS else None
    return read_file(above) if above and above.is_file() and is_ramp(above) else None


def _deployment(
    file: RampFile, database: RampFile | None, *, event: str | None, taken: Mapping[Path, str], here: Path,
    region: Region, cpus: int,
) -> RampDeployment:  # fmt: skip
    """One event. A second one in the same folder keeps its own files apart by its name."""
    root = database.path.parent if database else file.path.parent
    said = gather(file, database, root)
    name = event or said.ramp.event_name or said.ramp.event or said.ramp.problem_name or file.path.parent.name
    drafts = Drafts(said=said, event=name, cwd=here, cpus=cpus, region=region)
    if not (event or said.ramp.event_name):
        drafts.notes.append(f"{file.path}: there is no ramp.event_name: the event is taken to be {name}")
    if any(path.parent == file.path.parent for path in taken):
        drafts.beside = f"-{drafts.name}"
        ours = f"reconciler{drafts.beside}.db"
        drafts.notes.append(f"{file.path}: another event lies in this folder too: its own database of ours is {ours}")
    drafts.write()
    config = _value(drafts.config, Config, file, drafts.environ)
    pool = _value(drafts.pool, Pool, file, drafts.environ)
    return RampDeployment(
        event=name,
        files=(file.path, database.path) if database else (file.path,),
        config=attrs.evolve(config, pools=anchored(config.pools, file.path.parent), source=file.path),
        pools=(attrs.evolve(pool, source=file.path),),
        environ=drafts.environ,
        exports=drafts.exports,
        notes=(*said.notes, *drafts.notes),
        ends=said.dispatcher is not None and said.dispatcher.hunger_policy == "exit",
        submissions=drafts.folder("submissions_dir"),
        config_draft=drafts.config,
        pool_draft=drafts.pool,
    )


def _value(draft: Draft, cls: type[_Value], file: RampFile, environ: Mapping[str, str]) -> _Value:
    """The draft as our own loader would read it. What that refuses is told of the file that it came from."""
    try:
        value: _Value = structure(draft.filled(environ), cls, KINDS)
    except Findings as found:
        problems = [
            Problem(file.path, 1, 1, f"as {'.'.join(map(str, each.path))}: {each.what}", each.hint)
            for each in found.findings
        ]
        raise SpecError(problems) from found
    return value
