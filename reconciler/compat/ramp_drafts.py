"""From what RAMP's files say of an event to our own config.yml and pool spec file, and the secrets kept out of both."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from attrs import define, field

from reconciler.compat.draft import Draft, Reference
from reconciler.compat.ramp_keys import DRIVERS, HOOK_EVENTS, THREADS, Aws, CondaWorker, Sqlalchemy
from reconciler.compat.ramp_sections import Said
from reconciler.spec.errors import Problem, SpecError
from reconciler.spec.fields import anchored
from reconciler.spec.scalars import NAME_PATTERN
from reconciler.spec.written import duration

MOST_AWS = 20  # machines of an `aws:` section, which says nothing of how many
_CONDA_LIMIT = 7200  # seconds: ramp-engine's own, for a conda worker
_AWS_LIMIT = 43200  # seconds: RAMP has none on EC2
_HOOK_LIMIT = "1h"

Region = Callable[[str | None], str | None]


@define(kw_only=True)
class Drafts:
    """Both files while they are written."""

    said: Said
    event: str
    cwd: Path
    cpus: int
    region: Region
    beside: str = ""  # tells our files apart from those of another event in the same folder
    config: Draft = field(factory=Draft)
    pool: Draft = field(factory=Draft)
    environ: dict[str, str] = field(factory=dict)
    exports: dict[str, str] = field(factory=dict)  # variable → where RAMP's files say its value
    notes: list[str] = field(factory=list)

    @property
    def name(self) -> str:
        """The event's name as that of a controller and of a pool."""
        name = re.sub(r"[^a-z0-9._-]+", "-", self.event.lower()).lstrip("._-")[:63]
        if not re.fullmatch(NAME_PATTERN, name):
            what, hint = "the event's name holds no letter or digit that a machine's tag could have", "choose another"
            raise SpecError([Problem(self.said.file, 1, 1, what, hint)])
        return name

    def write(self) -> None:
        """Both, from all that was said. Raises SpecError."""
        self._config()
        self._ramp_event()
        self._hooks()
        self.pool.put("pool", value=self.name)
        if isinstance(self.said.worker, Aws):
            self._aws(self.said.worker)
        else:
            self._conda(self.said.worker)
        threads = self.said.dispatcher.n_threads if self.said.dispatcher else None
        for variable in THREADS if threads else ():
            why = "dispatcher.n_threads" if variable == THREADS[0] else ""
            self.pool.put("env", variable, value=str(threads), why=why)

    def path(self, path: Path | None) -> str | None:
        """A path as RAMP takes it: relative to the working directory."""
        return None if path is None else str(anchored(path, self.cwd))

    def folder(self, name: str) -> Path:
        """`kit_dir` and its like: as `ramp:` says, else where ramp-utils looks for it."""
        ramp = self.said.ramp
        said: Path | None = getattr(ramp, name)
        if said is not None:
            return anchored(said, self.cwd)
        problem = ramp.problem_name or ramp.event
        if name in ("kit_dir", "data_dir") and problem is None:
            what = f"ramp: says neither problem_name nor {name}"
            raise SpecError([Problem(self.said.file, 1, 1, what, "add problem_name, by which RAMP finds kit and data")])
        defaults = {"kit_dir": f"ramp-kits/{problem}", "data_dir": f"ramp-data/{problem}"}
        return self.said.root / defaults.get(name, f"events/{self.event}/{name.removesuffix('_dir')}")

    def _config(self) -> None:
        home = self.said.file.parent
        why = "" if self.name == self.event else f"the event {self.event!r}, as a name that machines can be tagged with"
        self.config.put("controller", value=self.name, why=why)
        self.config.put("pools", value="specs")
        ours = f"sqlite:///{home}/reconciler{self.beside}.db"
        self.config.put("database", value=ours, why="ours, never RAMP's own")
        self.config.put("results", value=f"{home}/results{self.beside}")
        self.config.put("state", value=f"{home}/.reconciler{self.beside}")
        seconds = getattr(self.said.worker, "train_loop_interval_secs", None)
        if seconds is not None:
            self.config.put("interval", value=duration(max(seconds, 1)), why="train_loop_interval_secs")

    def _ramp_event(self) -> None:
        """The event as queue and sink, where there is a database."""
        if self.said.database is None:
            what = "no sqlalchemy: section, here or beside it: submissions come by `reconcile submit` alone"
            self.notes.append(f"{self.said.file}: {what}; to serve the event, name the database's file too")
            return
        event = {"database": self._database(self.said.database), "event": self.event, "pool": self.name}
        event["logs"] = str(self._destination("logs_dir", "local_log_folder"))
        event["predictions"] = str(self._destination("predictions_dir", "local_predictions_folder"))
        self.config.put(
            "ramp", value=[event], why="RAMP's database: new submissions come from it, states go back to it"
        )

    def _destination(self, name: str, older: str) -> Path:
        """Where RAMP looks for logs or predictions: by the worker's key, the older one, `ramp:`, or by default."""
        worker = self.said.worker
        said = getattr(worker, name, None) or getattr(self.said.ramp, name) or getattr(worker, older, None)
        return anchored(said, self.cwd) if said else self.folder(name)

    def _database(self, said: Sqlalchemy) -> str:
        driver = DRIVERS[said.drivername]
        if driver == "sqlite":
            return f"sqlite:///{anchored(Path(said.database), self.cwd)}"
        user = quote(said.username or "", safe="")
        if said.password:
            variable = self._secret("DATABASE_PASSWORD", quote(said.password, safe=""), "sqlalchemy.password")
            user = f"{user}:{variable}"
        host = said.host or ""
        port = f":{said.port}" if said.port else ""
        place = f"{'' if host.startswith('/') else host}{port}/{quote(said.database, safe='')}"
        socket = f"?host={quote(host, safe='')}" if host.startswith("/") else ""  # a folder: PostgreSQL's own socket
        return Reference(f"{driver}://{user}@{place}{socket}")

    def _secret(self, name: str, value: str, where: str) -> Reference:
        """A reference to a variable that holds the value, in the environment alone."""
        variable = f"RAMP_{re.sub('[^A-Z0-9]', '_', self.name.upper())}_{name}"
        self.environ[variable] = value
        self.exports[variable] = where
        return Reference(f"${{{variable}}}")

    def _hooks(self) -> None:
        """RAMP's commands, told which hook they are and run where RAMP was run; HookSink tells them the rest."""
        heard: dict[str, list[dict[str, str]]] = {}
        for name, command in self.said.hooks:
            whole = f"export RAMP_AWS_HOOK={name}; cd {shlex.quote(str(self.cwd))} || exit\n{command}"
            heard.setdefault(HOOK_EVENTS[name], []).append({"command": whole, "limit": _HOOK_LIMIT})
        for event, commands in heard.items():
            why = "RAMP's hooks had no time limit" if event == next(iter(heard)) else ""
            self.config.put("hooks", event, value=commands, why=why)

    def _aws(self, aws: Aws) -> None:
        key = self.said.key
        self._cloud(aws)
        n_workers = self._workers() if key == "worker" or self.said.dispatcher else MOST_AWS
        self.pool.put("size", aws.instance_type, value=f"0..{n_workers}", why=self._size_from())
        if aws.use_spot_instance:
            self.pool.put("market", value="spot, then on-demand", why="use_spot_instance")
        self.pool.put("workload", "ramp", "kit", value=aws.remote_ramp_kit_folder)
        self.pool.put("workload", "ramp", "memory_profiling", value=aws.memory_profiling)
        self.pool.put("idle", value="10m", why="the next submission finds it; RAMP ended a machine after each")
        self._limit(aws.timeout, _AWS_LIMIT, "RAMP had none on EC2")

    def _cloud(self, aws: Aws) -> None:
        region = aws.region_name or self.region(aws.profile_name)
        if not region:
            what = f"{self.said.key}: says no region_name, and neither does the environment or ~/.aws"
            raise SpecError([Problem(self.said.file, 1, 1, what, "add region_name, or export AWS_DEFAULT_REGION")])
        put = self.pool.put
        put("cloud", "ec2", "region", value=region, why="" if aws.region_name else "as boto3 found it")
        put("cloud", "ec2", "profile", value=aws.profile_name)
        for name, why in (("access_key_id", "secrets stay in the environment"), ("secret_access_key", "")):
            value = getattr(aws, name)
            if value:
                secret = self._secret(name.upper(), value, f"{self.said.key}.{name}")
                put("cloud", "ec2", name, value=secret, why=why)
        named = "the newest of your own images whose name begins with it" if aws.ami_image_name else ""
        put("cloud", "ec2", "image", value=aws.ami_image_id or aws.ami_image_name, why=named)
        put("cloud", "ec2", "user", value=aws.ami_user_name)
        put("cloud", "ec2", "key_name", value=aws.key_name)
        put("cloud", "ec2", "key_path", value=self.path(aws.key_path))
        put("cloud", "ec2", "security_group", value=aws.security_group)

    def _conda(self, conda: CondaWorker) -> None:
        put = self.pool.put
        put("cloud", "local", value={}, why="worker_type: conda trains on this computer")
        put("size", "local", value=f"0..{self._workers()}", why=self._size_from())
        put("workload", "ramp", "kit", value=str(self.folder("kit_dir")))
        put("workload", "ramp", "data", value=str(self.folder("data_dir")))
        put("workload", "ramp", "conda_env", value=conda.conda_env)
        self._limit(conda.timeout, _CONDA_LIMIT, "as in RAMP")

    def _limit(self, said: int | None, default: int, why: str) -> None:
        self.pool.put("deadlines", "run", value=duration(said or default), why="timeout" if said else why)

    def _workers(self) -> int:
        """RAMP's count: a negative one is from the number of CPUs, as -1 is all of them."""
        said = self.said.dispatcher.n_workers if self.said.dispatcher else None
        count = -1 if said is None else said
        return max(self.cpus + 1 + count, 1) if count < 0 else count

    def _size_from(self) -> str:
        dispatcher = self.said.dispatcher
        if dispatcher and dispatcher.n_workers is not None and dispatcher.n_workers > 0:
            return "dispatcher.n_workers"
        if self.said.key == "aws" and not dispatcher:
            return "an aws: section says nothing of how many"
        return "as many as this computer has CPUs, as RAMP counts n_workers"
