"""From a tree to plain values (dict, list, str, int, float, bool), and back from a path to its place in the tree."""

import re
from collections.abc import Mapping as Environ
from collections.abc import Sequence as PathSteps
from pathlib import Path
from typing import Any

from reconciler.spec.environment import fill
from reconciler.spec.errors import Filled, Problem, Wrong, shown
from reconciler.spec.text import Place
from reconciler.spec.tree import Mapping, Node, Scalar, Sequence

# YAML 1.2's core schema. Longer numbers are text: no key takes one.
_NOTHING = re.compile(r"~|null|Null|NULL|")
_TRUTH = re.compile(r"true|True|TRUE|false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9]{1,40}", re.ASCII)
_OTHER_BASE = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}", re.ASCII)
_FRACTION = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)


class Plain:
    """One file's content as plain values, and where each of them stands."""

    def __init__(self, file: Path, root: Node, environ: Environ[str, str]) -> None:
        """`problems` names duplicate keys, keys that are no text, missing values and missing variables."""
        self.file = file
        self._root = root
        self._environ = environ
        self.problems: list[Problem] = []
        self.told: set[tuple[int, int]] = set()  # places of values that a problem accounts for
        self.value = self._value(root)

    def problem(self, path: PathSteps[Any], what: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A problem with what lies at a path, or with its key."""
        place = self._place(path, at_key=at_key)
        name = _dotted(path[:-1] if at_key else path)
        return Problem(self.file, place.line, place.column, f"{name}: {what}" if name else what, hint)

    def _place(self, path: PathSteps[Any], *, at_key: bool) -> Place:
        """Where the value at a path stands; where its key stands; or what is nearest to it."""
        node, place = self._root, self._root.place
        for step in path:
            entry = self._entry(node, step)
            if entry is None:
                return place
            key, node = entry
            place = key.place if at_key else node.place
        return place

    def _entry(self, node: Node, step: Any) -> tuple[Node, Node] | None:
        """The key and the value that a step leads to; an item of a list is its own key."""
        if isinstance(node, Sequence):
            return (node.items[step], node.items[step])
        entries = node.items if isinstance(node, Mapping) else []
        return next((each for each in entries if self._key(each[0]) == step), None)

    def _key(self, node: Node) -> str | None:
        try:
            return fill(node.text, self._environ) if isinstance(node, Scalar) else None
        except Wrong:
            return None

    def _wrong(self, place: Place, what: str, hint: str) -> None:
        self.problems.append(Problem(self.file, place.line, place.column, what, hint))
        self.told.add((place.line, place.column))

    def _filled(self, node: Scalar) -> str:
        try:
            return fill(node.text, self._environ)
        except Wrong as wrong:
            self._wrong(node.place, wrong.what, wrong.hint)
            return node.text

    def _value(self, node: Node) -> Any:
        if isinstance(node, Sequence):
            return [self._value(item) for item in node.items]
        if isinstance(node, Mapping):
            return self._mapping(node)
        text = self._filled(node)
        return resolve(text) if node.plain and not isinstance(text, Filled) else text

    def _mapping(self, node: Mapping) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, content in node.items:
            name = self._name(key)
            if name is None:
                continue
            if name in lines:
                self._wrong(key.place, f"the key {shown(name)} appears twice", f"it is in line {lines[name]} already")
                continue
            lines[name] = key.place.line
            found[name] = self._value(content)
            if found[name] is None:
                self._wrong(key.place, f"{shown(name)} has no value", "give it one, or leave the key out")
                self.told.add((content.place.line, content.place.column))
        return found

    def _name(self, key: Node) -> str | None:
        """The text of a key, or None where it is none."""
        if not isinstance(key, Scalar):
            self._wrong(
                key.place, "a key is text, not a list or a mapping", "quote it if it holds a bracket or a brace"
            )
            return None
        name = self._filled(key)
        if key.plain and not isinstance(name, Filled) and not isinstance(resolve(name), str):
            self._wrong(key.place, f"the key {shown(resolve(name))} is not text", "write it in quotes")
            return None
        return name


def _dotted(path: PathSteps[Any]) -> str:
    """A path as people say it: `workload.script.outputs[1]`, counting from 1."""
    steps = (f"[{step + 1}]" if isinstance(step, int) else "." + shown(step).strip("'") for step in path)
    return "".join(steps).removeprefix(".")


def resolve(text: str) -> Any:
    """What plain text is in YAML's core schema."""
    if _NOTHING.fullmatch(text):
        return None
    if _TRUTH.fullmatch(text):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FRACTION.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
