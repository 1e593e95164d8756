"""Every key of RAMP's config files, as data: what a section may hold, and what is said of a key without effect.

From the documents of ramp-backend (the `aws:` section) and of ramp-engine and ramp-utils 0.10.1 (`worker:`, `ramp:`,
`dispatcher:`, `sqlalchemy:`). The text beside each type is what errors tell people of that key.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from attrs import frozen

from reconciler.spec.forms import Form, Range
from reconciler.spec.values import Event

_YEAR = 366 * 86400  # seconds
_Every = Annotated[int | None, Range(0, _YEAR)]
_Text = Annotated[str | None, ""]
_Folder = Annotated[Path | None, ""]


@frozen(kw_only=True)
class Sqlalchemy:
    """`sqlalchemy:`, the parts of SQLAlchemy's URL of RAMP's database. Every value is read as text."""

    drivername: Annotated[str, "postgresql or sqlite"]
    database: Annotated[str, "the database's name, or SQLite's file"]
    username: _Text = None
    password: _Text = None
    host: _Text = None
    port: _Text = None


@frozen(kw_only=True)
class Ramp:
    """`ramp:`, one event and where its folders lie."""

    problem_name: _Text = None
    event: _Text = None  # the older name of problem_name
    event_name: _Text = None
    event_title: _Text = None
    event_is_public: bool = False
    kit_dir: _Folder = None
    data_dir: _Folder = None
    submissions_dir: _Folder = None
    predictions_dir: _Folder = None
    logs_dir: _Folder = None
    sandbox_dir: _Text = None


@frozen(kw_only=True)
class Dispatcher:
    """`dispatcher:`, how many workers there are and how they are looked after."""

    n_workers: Annotated[int | None, Range(-100_000, 100_000)] = None
    n_threads: Annotated[int | None, Range(1, 100_000)] = None
    hunger_policy: _Text = None
    time_between_collection: _Every = None


@frozen(kw_only=True)
class Hooks:
    """`hooks:`, each a command or a list of commands for the shell; checked where they are translated."""

    after_sucessful_training: Annotated[Any, ""] = None  # as RAMP's own document spells it
    after_successful_training: Annotated[Any, ""] = None
    start_training: Annotated[Any, ""] = None
    successful_training: Annotated[Any, ""] = None
    failed_training: Annotated[Any, ""] = None


@frozen(kw_only=True)
class Aws:
    """`aws:`, the machines of Amazon EC2 that train."""

    instance_type: Annotated[str, Form.TYPE, "the EC2 instance type, such as t2.micro"]
    remote_ramp_kit_folder: Annotated[str, "the kit's folder on the machine"]
    profile_name: _Text = None
    access_key_id: _Text = None
    secret_access_key: _Text = None
    region_name: _Text = None
    ami_image_id: _Text = None
    ami_image_name: _Text = None
    ami_user_name: _Text = None
    use_spot_instance: bool = False
    key_name: _Text = None
    key_path: _Folder = None
    security_group: _Text = None
    local_predictions_folder: _Folder = None
    predictions_dir: _Folder = None
    local_log_folder: _Folder = None
    logs_dir: _Folder = None
    memory_profiling: bool = False
    check_status_interval_secs: _Every = None
    check_finished_training_interval_secs: _Every = None
    train_loop_interval_secs: _Every = None
    timeout: Annotated[int | None, Range(1, _YEAR)] = None
    hooks: Hooks | None = None


@frozen(kw_only=True)
class AwsWorker(Aws):
    """`worker:` with `worker_type: aws`: the same keys, in another section."""

    worker_type: str


@frozen(kw_only=True)
class CondaWorker:
    """`worker:` with `worker_type: conda`: a conda environment of this computer trains."""

    worker_type: str
    conda_env: str = "base"
    timeout: Annotated[int | None, Range(1, _YEAR)] = None
    hooks: Hooks | None = None


WORKERS: Mapping[str, type] = MappingProxyType({"aws": AwsWorker, "conda": CondaWorker})

SECTIONS = ("sqlalchemy", "ramp", "dispatcher", "aws", "worker", "hooks", "flask")
UNREAD = ("flask",)  # the web site's own: nothing in it is for us

# RAMP's hook → what it hears of here.
HOOK_EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        "start_training": Event.STARTED,
        "after_sucessful_training": Event.SUCCEEDED,
        "after_successful_training": Event.SUCCEEDED,
        "successful_training": Event.SUCCEEDED,
        "failed_training": Event.FAILED,
    }
)

# RAMP's drivers → ours for the same database.
DRIVERS: Mapping[str, str] = MappingProxyType(
    {
        "postgresql": "postgresql+psycopg",
        "postgresql+psycopg": "postgresql+psycopg",
        "postgresql+psycopg2": "postgresql+psycopg",
        "sqlite": "sqlite",
        "sqlite+pysqlite": "sqlite",
    }
)

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # what n_threads sets

_ASKED = "no effect: every machine is asked once a pass"
_RAMPS_OWN = "no effect: for RAMP's own tools, which read it as before"

# (section, key) → what people are told of a key whose effect is another here, or none. `aws` is `worker` too.
REPLACED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("aws", "check_status_interval_secs"): f"{_ASKED}, and train_loop_interval_secs says how often there is one",
        ("aws", "check_finished_training_interval_secs"): f"{_ASKED}, and the end of a training is told at once",
        ("aws", "ami_image_name"): "found among your own account's images, where RAMP takes anybody's",
        ("dispatcher", "time_between_collection"): "no effect: the end of a training is told at once",
        ("ramp", "event_title"): _RAMPS_OWN,
        ("ramp", "event_is_public"): _RAMPS_OWN,
        ("ramp", "sandbox_dir"): _RAMPS_OWN,
    }
)

# hunger_policy → what it means here, where nothing to do costs nothing.
HUNGER: Mapping[str, str] = MappingProxyType(
    {
        "sleep": "no effect: without work the loop waits, as `reconcile` always does",
        "exit": "`ramp-launch dispatcher` ends when all is trained; for `reconcile`, say --until-settled",
        "None": "no effect: without work the loop waits, as `reconcile` always does",
    }
)
