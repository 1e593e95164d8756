"""The sections that one event is said by, gathered from its file and the database's, and checked against each other."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

from reconciler.compat.ramp_file import RampFile
from reconciler.compat.ramp_keys import (
    DRIVERS,
    HOOK_EVENTS,
    HUNGER,
    REPLACED,
    WORKERS,
    Aws,
    CondaWorker,
    Dispatcher,
    Hooks,
    Ramp,
    Sqlalchemy,
)
from reconciler.spec.errors import SpecError, Wrong, did_you_mean, shown
from reconciler.spec.fields import machine_path

# Pairs of keys, of which one at most may be given, and why.
_EITHER: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("ami_image_id", "ami_image_name"): "name the image one way",
        ("profile_name", "access_key_id"): "give a profile or keys",
        ("profile_name", "secret_access_key"): "give a profile or keys",
    }
)
_IMAGE_ID = re.compile(r"ami-[0-9a-f]+")


@frozen(kw_only=True)
class Said:
    """All that RAMP's files say of one event."""

    file: Path  # the event's, absolute
    root: Path  # RAMP's deployment folder, which its default paths begin at
    worker: Aws | CondaWorker
    key: str  # the section that the worker is from: aws or worker
    ramp: Ramp
    dispatcher: Dispatcher | None
    database: Sqlalchemy | None
    hooks: tuple[tuple[str, str], ...]  # RAMP's name and the shell's command
    notes: tuple[str, ...]


def gather(event: RampFile, database: RampFile | None, root: Path) -> Said:
    """What two files, or one, say of an event. Raises SpecError with all that is wrong in them."""
    files = [event] if database is None else [event, database]
    gathering = _Gathering(files=files)
    worker = gathering.worker(event)
    ramp = gathering.section("ramp", Ramp) or Ramp()
    dispatcher = gathering.dispatcher()
    address = gathering.database()
    hooks = tuple(gathering.hooks("aws" if event.has("aws") else "worker"))
    problems = [problem for each in files for problem in each.problems]
    if problems or worker is None:
        raise SpecError(dict.fromkeys(problems))
    return Said(
        file=event.path,
        root=root,
        worker=worker,
        key="aws" if event.has("aws") else "worker",
        ramp=ramp,
        dispatcher=dispatcher,
        database=address,
        hooks=hooks,
        notes=tuple(_replaced(files)),
    )


@frozen(kw_only=True)
class _Gathering:
    """The files, the event's first."""

    files: list[RampFile]

    def section(self, name: str, cls: type) -> Any:
        """A section from the first file that has it."""
        return next((each.section(name, cls) for each in self.files if each.has(name)), None)

    def worker(self, event: RampFile) -> Any:
        """Who trains: `aws:`, or `worker:` of either type."""
        if event.has("aws") and event.has("worker"):
            event.wrong(("worker",), "there is an aws: section too", "write one of them", at_key=True)
            return None
        name = "aws" if event.has("aws") else "worker"
        cls = Aws if name == "aws" else _worker_class(event)
        worker = event.section(name, cls) if cls else None
        if isinstance(worker, Aws):
            worker = evolve(worker, remote_ramp_kit_folder=_from_home(worker.remote_ramp_kit_folder))
            _check_aws(event, name, worker)
        return worker

    def dispatcher(self) -> Dispatcher | None:
        """How many workers there are; RAMP takes 0 for no limit, which no account has."""
        found: Dispatcher | None = self.section("dispatcher", Dispatcher)
        file = next((each for each in self.files if each.has("dispatcher")), None)
        if found is not None and file is not None:
            if found.n_workers == 0:
                hint = "write how many, or -1 for one a CPU"
                file.wrong(("dispatcher", "n_workers"), "0 would be without any limit", hint)
            if found.hunger_policy is not None and found.hunger_policy not in HUNGER:
                what = f"there is no policy {shown(found.hunger_policy)}"
                file.wrong(("dispatcher", "hunger_policy"), what, did_you_mean(found.hunger_policy, HUNGER))
        return found

    def database(self) -> Sqlalchemy | None:
        """Where RAMP's database is; its driver is one that we know."""
        found: Sqlalchemy | None = self.section("sqlalchemy", Sqlalchemy)
        if found is None:
            return None
        file = next(each for each in self.files if each.has("sqlalchemy"))
        if found.drivername not in DRIVERS:
            hint = did_you_mean(found.drivername, DRIVERS)
            file.wrong(("sqlalchemy", "drivername"), f"{shown(found.drivername)} is no driver of RAMP's database", hint)
        elif not found.drivername.startswith("sqlite") and not (found.host and found.username):
            missing = "host" if found.username else "username"
            file.wrong(("sqlalchemy",), f"the key {missing} is missing", "say where the database is, and who logs in")
        if found.drivername.startswith("sqlite") and (":memory:" in found.database or "?" in found.database):
            file.wrong(("sqlalchemy", "database"), f"{shown(found.database)} is no file", "name SQLite's file")
        if found.port is not None and not re.fullmatch("[0-9]{1,5}", found.port):
            file.wrong(("sqlalchemy", "port"), f"{shown(found.port)} is not a port", "write a number such as 5432")
        return found

    def hooks(self, inside: str) -> Iterator[tuple[str, str]]:
        """Each hook's name and command, from within the worker's section or beside it."""
        for file in self.files:
            within = file.plain.value.get(inside)
            has_within = isinstance(within, dict) and "hooks" in within
            if has_within and file.has("hooks"):
                file.wrong(("hooks",), f"there are hooks in {inside}: too", "keep them in one place", at_key=True)
            elif has_within:
                yield from _commands(file, (inside, "hooks"))
            elif file.section("hooks", Hooks):
                yield from _commands(file, ("hooks",))


def _from_home(folder: str) -> str:
    """RAMP enters the kit's folder from the home of whoever logs in."""
    return folder if folder.startswith(("~", "/")) else f"~/{folder}"


def _worker_class(event: RampFile) -> type | None:
    """The keys of a worker of the type that the file says."""
    given = event.plain.value["worker"]
    kind = given.get("worker_type") if isinstance(given, dict) else None
    if isinstance(kind, str) and kind in WORKERS:
        return WORKERS[kind]
    if kind is None:
        event.wrong(("worker",), "the key worker_type is missing", "add it: aws or conda")
    else:
        hint = did_you_mean(kind, WORKERS) if isinstance(kind, str) else "write aws or conda"
        event.wrong(("worker", "worker_type"), f"there is no worker {shown(kind)} here", hint)
    return None


def _check_aws(file: RampFile, section: str, aws: Aws) -> None:
    """What keys say together, and what a key of ours would refuse."""
    for (one, other), hint in _EITHER.items():
        if getattr(aws, one) and getattr(aws, other):
            file.wrong((section, other), f"{one} and {other} cannot both be given", hint, at_key=True)
    for key, other in (("access_key_id", "secret_access_key"), ("secret_access_key", "access_key_id")):
        if getattr(aws, key) and not getattr(aws, other):
            file.wrong((section, key), f"{key} goes with {other}", f"add {other}, or leave both out", at_key=True)
    if not aws.ami_image_id and not aws.ami_image_name:
        file.wrong((section,), "no image is named", "add ami_image_id or ami_image_name")
    if aws.ami_image_id and not _IMAGE_ID.fullmatch(aws.ami_image_id):
        hint = "write ami-…, or ami_image_name for a name"
        file.wrong((section, "ami_image_id"), f"{shown(aws.ami_image_id)} is not an image's id", hint)
    try:
        machine_path(aws.remote_ramp_kit_folder)
    except Wrong as wrong:
        file.wrong((section, "remote_ramp_kit_folder"), wrong.what, wrong.hint)


def _commands(file: RampFile, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The hooks at a place, in the file's order; a list is joined as RAMP joins it."""
    given: Any = file.plain.value
    for step in place:
        given = given[step]
    for name, said in given.items() if isinstance(given, dict) else ():
        parts = said if isinstance(said, list) else [said]
        if name not in HOOK_EVENTS:
            continue  # the section's class has refused it
        if parts and all(isinstance(each, str) and each.strip() for each in parts):
            yield name, ";".join(parts)
        else:
            file.wrong((*place, name), "not a command", "write one text for the shell, or a list of them")


def _replaced(files: list[RampFile]) -> Iterator[str]:
    """A line for each key that has no effect here, and what replaces it."""
    for file in files:
        for section, given in file.plain.value.items():
            for key in given if isinstance(given, dict) else ():
                what = REPLACED.get(("aws" if section == "worker" else section, key))
                if what:
                    yield file.note((section, key), what)
        hunger = file.plain.value.get("dispatcher", {}).get("hunger_policy")
        if hunger is not None:
            yield file.note(("dispatcher", "hunger_policy"), HUNGER[hunger])
