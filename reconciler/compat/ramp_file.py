"""One of RAMP's YAML files: its sections, checked key by key, with the place of each for errors and notes.

RAMP reads YAML 1.1 by PyYAML and knows no `${NAME}`: yes and no are truth values, and a dollar is a dollar.
"""

from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import define, evolve, field

from reconciler.compat.ramp_keys import SECTIONS, UNREAD
from reconciler.spec.errors import Problem, SpecError, did_you_mean, shown
from reconciler.spec.options import KINDS
from reconciler.spec.plain import Plain, resolve
from reconciler.spec.structure import Findings, structure
from reconciler.spec.tree import Mapping, Node, Scalar, Sequence, read_tree

EVENTS = "events"  # RAMP's folder of event folders, each with its config file
CONFIG = "config.yml"
_NONE_ALLOWED = ("sqlalchemy", "dispatcher")
_OURS = frozenset({"controller", "pools"})
_THEIRS = frozenset(SECTIONS) - {"ramp", "hooks"}  # these two are ours as well
_YAML_1_1 = MappingProxyType(
    {word: truth for truth, words in {"true": "yes on", "false": "no off"}.items() for word in words.split()}
)


@define
class RampFile:
    """A file, its plain values, and what was found wrong in it so far."""

    path: Path
    plain: Plain
    problems: list[Problem] = field(factory=list)

    def has(self, *sections: str) -> bool:
        """Whether it has any of the sections."""
        return any(section in self.plain.value for section in sections)

    def section(self, name: str, cls: type) -> Any:
        """A section as its class, or None where it is missing, or wrong: then the problems say so."""
        if name not in self.plain.value:
            return None
        try:
            return structure(self.plain.value[name], cls, KINDS)
        except Findings as found:
            for each in found.findings:
                self.wrong((name, *each.path), each.what, each.hint, at_key=each.at_key)
        return None

    def wrong(self, path: Iterable[Any], what: str, hint: str, *, at_key: bool = False) -> None:
        """Remember a problem with what lies at a path, unless the place is known to be wrong."""
        problem = self.plain.problem(tuple(path), what, hint, at_key=at_key)
        if (problem.line, problem.column) not in self.plain.told:
            self.problems.append(problem)

    def note(self, path: Iterable[Any], what: str) -> str:
        """A line about what lies at a path: `file:line:column: section.key: what`."""
        return str(self.plain.problem(tuple(path), what))


def read_file(path: Path) -> RampFile:
    """A RAMP config file. Raises SpecError for what is no YAML, or no mapping."""
    root, problems = read_tree(path)
    if not isinstance(root, Mapping):
        raise SpecError([Problem(path, root.place.line, root.place.column, "not a mapping", "write RAMP's sections")])
    kept = [(key, each) for key, each in root.items if not (isinstance(key, Scalar) and key.text in UNREAD)]
    plain = Plain(path, _literal(evolve(root, items=kept)), {})
    read = RampFile(path, plain, [*problems, *plain.problems])
    for name in plain.value:
        if name not in SECTIONS:
            read.wrong((name,), f"RAMP has no section {shown(name)}", did_you_mean(name, SECTIONS), at_key=True)
    return read


def is_ramp(path: Path) -> bool:
    """Whether a file, by its top-level keys, or a folder, by what lies in it, is RAMP's and not ours.

    What cannot be read is not: the reader of our own files tells why.
    """
    if path.is_dir():
        return bool(event_files(path))
    try:
        root, _ = read_tree(path)
    except SpecError:
        return False
    if not isinstance(root, Mapping):
        return False
    keys = {key.text for key, _ in root.items if isinstance(key, Scalar)}
    return bool(keys & _THEIRS) and not keys & _OURS


def event_files(folder: Path) -> list[Path]:
    """The config files of the events in RAMP's events folder, or in the deployment's folder that holds it."""
    within = folder / EVENTS if (folder / EVENTS).is_dir() else folder
    return sorted(within.glob(f"*/{CONFIG}"))


def _literal(node: Node, section: str = "") -> Node:
    """The tree as PyYAML would have it, with nothing for us to fill in.

    All of `sqlalchemy` is text, a password of digits too. What RAMP may be told to be None counts as left out.
    """
    if isinstance(node, Sequence):
        return evolve(node, items=[_literal(each, section) for each in node.items])
    if isinstance(node, Mapping):
        entries = [(key, _literal(each, section or getattr(key, "text", ""))) for key, each in node.items]
        if section in _NONE_ALLOWED:
            entries = [(key, each) for key, each in entries if not _is_nothing(each)]
        return evolve(node, items=entries)
    text = node.text.replace("${", "$${")
    if section == "sqlalchemy" and not _is_nothing(node):
        return evolve(node, plain=False, text=text)
    return evolve(node, text=_YAML_1_1.get(text.lower(), text)) if node.plain else evolve(node, text=text)


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and resolve(node.text) is None
