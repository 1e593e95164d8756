"""rampbkd's functions on one submission and one machine: upload, train, look, bring home.

RAMP's database hears nothing of them. A training is a job of our agent on the machine: it keeps the config's time
limit, and asking twice runs it once. Its files lie where RAMP had them, in the kit's folder of submissions; its outputs
in the job's own.
"""

import asyncio
import re
import shutil
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from attrs import evolve

from reconciler.api import RequestError
from reconciler.compat.rampbkd.config import worker_section
from reconciler.compat.rampbkd.reach import Reach, reached
from reconciler.hosts.base import Host
from reconciler.model.assignment import Assignment
from reconciler.model.job import Job, JobReport, Report
from reconciler.model.printable import printable
from reconciler.queues.content import check_name
from reconciler.rampdb.access import Ramp, basename
from reconciler.rampdb.folders import Folders
from reconciler.spec.canonical import settings_to_json
from reconciler.spec.environment import fill_all
from reconciler.spec.fields import anchored
from reconciler.wiring import new_id
from reconciler.workloads import workload
from reconciler.workloads.environment import shell_lines
from reconciler.workloads.ramp_output import OUTPUT

Values = Mapping[str, Any]
Folder = str | PathLike[str] | None

# In front of the workload's own lines: what was uploaded into the kit is the job's work folder.
_FROM_KIT = """
on_machine "$RECONCILER_RAMP_KIT"
cp -R "$path/submissions/$RECONCILER_SUBMISSION/." . || {
    echo "ramp: $RECONCILER_SUBMISSION was not uploaded to this machine" >&2
    exit 2
}
"""


def upload_submission(
    config: Values, instance_id: str, submission: int | str, submissions_dir: Folder = None
) -> int:  # fmt: skip
    """Bring a submission into the kit's `submissions` on the machine, over what is there; 0, as RAMP's did.

    `submission` is RAMP's id, or the name of its folder; `submissions_dir` goes over the folder that RAMP's database
    names. Waits until a young machine answers. Raises RequestError, UnreachableError, HostRefusedError.
    """
    return asyncio.run(_upload(config, instance_id, _name(submission), submissions_dir))


def launch_train(config: Values, instance_id: str, submission: int | str) -> int:
    """Start to train what was uploaded, and do not wait; 0, as RAMP's did. Where it trains already, it goes on.

    One that ended is trained once more. Raises RequestError, UnreachableError, HostRefusedError.
    """
    return asyncio.run(_train(config, instance_id, _name(submission)))


def abort_training(config: Values, instance_id: str, submission: int | str) -> int:
    """End a training with every process of it; 0, also where none runs. Raises UnreachableError, HostRefusedError."""
    return asyncio.run(_abort(config, instance_id, _name(submission)))


def download_log(config: Values, instance_id: str, submission: int | str, folder: Folder = None) -> int:
    """Bring the latest training's log home, as far as it is; 0, as RAMP's did.

    It becomes `folder`/log; without one, <basename>/log in the config's folder of logs. Raises RequestError where
    nothing was trained there, UnreachableError, HostRefusedError.
    """
    return asyncio.run(_log(config, instance_id, _name(submission), folder))


def download_predictions(
    config: Values, instance_id: str, submission: int | str, folder: Folder = None
) -> Path:  # fmt: skip
    """Bring the latest training's `training_output` home, and answer with the folder that holds its `fold_*`.

    That is `folder`; without one, <basename> in the config's folder of predictions, where what an earlier training left
    is replaced. Raises RequestError where nothing was trained, it trains still, or it left no predictions.
    """
    return asyncio.run(_predictions(config, instance_id, _name(submission), folder))


async def _upload(config: Values, instance_id: str, name: str, submissions_dir: Folder) -> int:
    async with reached(config) as reach:
        found = Path(submissions_dir) if submissions_dir else await asyncio.to_thread(_submissions, reach)
        folder = anchored(found / name, Path.cwd())
        if not folder.is_dir():
            raise RequestError(f"there is no submission in {folder}: name its folder's place with submissions_dir")
        async with reach.host(instance_id) as (host, _):
            await host.put({folder: f"{_kit(reach)}/submissions/{name}"})
    return 0


async def _train(config: Values, instance_id: str, name: str) -> int:
    async with reached(config) as reach, reach.host(instance_id) as (host, report):
        known = _trainings(report, name)
        if not known or known[-1].over:
            await host.start(_job(reach, name, len(known) + 1), boot_id=report.boot_id)
    return 0


async def _abort(config: Values, instance_id: str, name: str) -> int:
    async with reached(config) as reach, reach.host(instance_id) as (host, report):
        for each in _trainings(report, name):
            if not each.over:
                await host.kill(each.job)
    return 0


async def _log(config: Values, instance_id: str, name: str, folder: Folder) -> int:
    async with reached(config) as reach:
        place = Path(folder) if folder else _home(config, reach, "logs", "logs_dir", "local_log_folder") / name
        async with reach.host(instance_id) as (host, report):
            latest = _latest(report, name, instance_id)
            place.mkdir(parents=True, exist_ok=True)
            new = place / f".log.{new_id()}"
            try:
                await _write(host, latest.job, new)
                new.replace(place / "log")
            finally:
                new.unlink(missing_ok=True)
    return 0


async def _write(host: Host, job: str, file: Path) -> None:
    with file.open("xb") as stream:
        async for piece in host.log(job):
            stream.write(piece)


async def _predictions(config: Values, instance_id: str, name: str, folder: Folder) -> Path:
    async with reached(config) as reach:
        base = None if folder else _home(
            config, reach, "predictions", "predictions_dir", "local_predictions_folder"
        )  # fmt: skip
        async with reach.host(instance_id) as (host, report):
            latest = _latest(report, name, instance_id)
            if not latest.over:
                raise RequestError(f"{name} trains on {instance_id} still: ask again, or abort_training")
            scratch = reach.folder / f"{name}.{new_id()}"
            try:
                scratch.parent.mkdir(parents=True, exist_ok=True)
                collected = await host.collect(_job(reach, name, len(_trainings(report, name))), scratch)
                if collected.refused:
                    raise RequestError(f"an output of {name} was refused: {printable(collected.refused[0])}")
                return _put(scratch / OUTPUT, base, name, Path(folder or ""))
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


def _put(found: Path, base: Path | None, name: str, folder: Path) -> Path:
    """Copy what came home to where it is wanted."""
    if not found.is_dir():
        raise RequestError(f"{name} left no {OUTPUT}: download_log tells why")
    if base is None:
        shutil.copytree(found, folder, dirs_exist_ok=True)
        return folder
    folders = Folders(logs=None, predictions=base)
    with folders.staged(name, None, found) as staged:
        folders.put(name, staged)
    return base / name


def _name(submission: int | str) -> str:
    """RAMP's name of a submission's folder. Raises InvalidSubmissionError."""
    if isinstance(submission, int):
        return basename(submission)
    check_name(submission)
    return submission


def _trainings(report: Report, name: str) -> list[JobReport]:
    """What the machine knows of a submission, in order."""
    found = {int(match[1]): job for key, job in report.jobs.items()
             if (match := re.fullmatch(rf"{re.escape(name)}\.([0-9]+)", key))}  # fmt: skip
    return [found[number] for number in sorted(found)]


def _latest(report: Report, name: str, instance_id: str) -> JobReport:
    known = _trainings(report, name)
    if not known:
        raise RequestError(f"{name} was not trained on {instance_id}: upload_submission, then launch_train")
    return known[-1]


def _job(reach: Reach, name: str, number: int) -> Job:
    """The workload's own job, on the folder that was uploaded into the kit."""
    pool = reach.pool
    orders = Assignment(
        attempt=f"{name}.{number}", submission=name, pool=pool.pool, content="", workload=pool.workload.kind,
        settings=settings_to_json(pool.workload), limit=pool.deadlines.run, env=fill_all(pool.env, reach.environ),
        max_bytes=pool.outputs.bytes, max_files=pool.outputs.files,
    )  # fmt: skip
    job = workload(orders.workload, orders.settings).job(orders, Path())
    return evolve(job, folder=None, command=f"{shell_lines('environment.sh')}\n{_FROM_KIT}\n{job.command}")


def _kit(reach: Reach) -> str:
    settings: Any = reach.pool.workload.settings
    return str(settings.kit)


def _submissions(reach: Reach) -> Path:
    """RAMP's folder of submissions: its database says where, else its file."""
    if not reach.config.ramp:
        return reach.deployment.submissions
    ramp = Ramp.open(reach.config.ramp[0])
    try:
        with ramp.reading() as connection:
            return ramp.row(connection).submissions
    finally:
        ramp.close()


def _home(config: Values, reach: Reach, name: str, *keys: str) -> Path:
    """The config's folder for logs or predictions. Raises RequestError where it names none."""
    if reach.config.ramp:
        known: Path | None = getattr(reach.config.ramp[0], name)
        if known is not None:
            return known
    worker = worker_section(config)
    said = next((worker[key] for key in keys if worker.get(key)), None)
    if said is None:
        raise RequestError(f"{reach.config.source} names no folder for {name}: add {keys[0]}, or say folder=")
    return anchored(Path(said), Path.cwd())
