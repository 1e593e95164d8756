"""The settings of each kind of cloud and workload, and the registries that the loader looks kinds up in.

A new kind is one frozen class here and one line in a registry; the loader and the JSON Schema follow.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from attrs import frozen

from reconciler.spec.forms import Aside, Form, Range


@frozen(kw_only=True)
class LocalCloud:
    """Machines are folders on this computer, with a home of their own. Types in `size` are free names."""

    folder: Annotated[Path | None, "where the machines lie; without it, `machines` in the state folder"] = None
    boot: Annotated[float, Form.DELAY, Aside(), "a new machine answers after this; for trying things out"] = 0.0
    capacity: Annotated[
        int | None, Range(0, 100_000), Aside(), "machines at most; more is refused for lack of capacity"
    ] = None
    delay: Annotated[float, Form.DELAY, Aside(), "every answer comes this much later; for trying things out"] = 0.0


@frozen(kw_only=True)
class Script:
    """A command, run in the submission's own folder."""

    command: Annotated[str, Form.COMMAND, "run in the submission's folder by /bin/sh"]
    outputs: Annotated[
        tuple[Annotated[str, Form.GLOB], ...], "files that come home, by pattern; ** crosses folders"
    ] = ()


@frozen(kw_only=True)
class Ramp:
    """A RAMP kit, into which each submission is put and trained."""

    kit: Annotated[str, Form.MACHINE_PATH, "the kit's folder on the machine"]
    memory_profiling: Annotated[bool, "record the peak memory of each training"] = False
    command: Annotated[str | None, Form.COMMAND, "instead of ramp-test"] = None
    data: Annotated[str | None, Form.MACHINE_PATH, "the data's folder on the machine; without it, the kit's"] = None


CLOUDS: Mapping[str, type] = MappingProxyType({"local": LocalCloud})
WORKLOADS: Mapping[str, type] = MappingProxyType({"script": Script, "ramp": Ramp})


@frozen(eq=False, kw_only=True)
class Kinds:
    """The clouds and workloads that a pool spec file may name: kind → its options class, frozen."""

    clouds: Mapping[str, type] = CLOUDS
    workloads: Mapping[str, type] = WORKLOADS


KINDS = Kinds()
