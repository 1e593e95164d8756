"""Workloads: what runs on a host, and what its results mean. Each is one file behind the Protocol in base.py.

A new one is its file, a line here, and its options in spec/options.py.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from reconciler.spec.canonical import UnreadableSpec, settings_from_json
from reconciler.spec.options import Ramp, Script
from reconciler.workloads.base import Workload
from reconciler.workloads.ramp import RampWorkload
from reconciler.workloads.script import ScriptWorkload

# Kind → the class of its settings, and what makes a workload of them.
WORKLOADS: Mapping[str, tuple[type, Callable[[Any], Workload]]] = MappingProxyType(
    {
        "script": (Script, ScriptWorkload),
        "ramp": (Ramp, RampWorkload),
    }
)


def workload(kind: str, settings: str) -> Workload:
    """The workload of a kind, with settings as an assignment froze them. Raises UnreadableSpec."""
    if kind not in WORKLOADS:
        raise UnreadableSpec(f"this version knows no workload {kind!r}, only {', '.join(WORKLOADS)}")
    options, make = WORKLOADS[kind]
    return make(settings_from_json(settings, options))
