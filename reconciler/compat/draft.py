"""Our own files while they are put together from somebody else's: keys, values, and a comment on what changed.

One draft is both read, as values, and printed, as YAML: so the two cannot differ.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from reconciler.spec.environment import fill
from reconciler.spec.plain import resolve

_PLAIN = re.compile(r"[A-Za-z0-9./~_][A-Za-z0-9./~_@+=-]*( [A-Za-z0-9./~_@+=-]+)*")


class Reference(str):
    """Text with a `${NAME}` that is meant: the value is a secret, and stays in the environment."""

    __slots__ = ()


@define
class Draft:
    """One file: nested keys, and a comment for some of them, by path."""

    tree: dict[str, Any] = field(factory=dict)
    comments: dict[tuple[str, ...], str] = field(factory=dict)

    def put(self, *path: str, value: Any, why: str = "") -> None:
        """Say a value, with a comment above it; None says nothing."""
        if value is None:
            return
        inner = self.tree
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = _escaped(value)
        if why:
            self.comments[path] = why

    def filled(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """The values as our loader would read them. Raises Wrong where the environment lacks a name."""
        filled: dict[str, Any] = _filled(self.tree, environ)
        return filled

    def text(self) -> str:
        """The file."""
        return "".join(f"{line}\n" for line in _lines(self.tree, self.comments, ()))


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _escaped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    literal = isinstance(value, str) and not isinstance(value, Reference)
    return value.replace("${", "$${") if literal else value


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, environ) for each in value]
    return fill(value, environ) if isinstance(value, str) else value


def _lines(tree: Mapping[str, Any], comments: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> Iterator[str]:
    pad = "  " * len(path)
    for key, value in tree.items():
        here = (*path, key)
        if here in comments:
            yield f"{pad}# {comments[here]}"
        if isinstance(value, Mapping) and value:
            yield f"{pad}{_scalar(key)}:"
            yield from _lines(value, comments, here)
        elif isinstance(value, list) and value:
            yield f"{pad}{_scalar(key)}:"
            for item in value:
                yield from _item(item, pad + "  ")
        else:
            yield f"{pad}{_scalar(key)}: {_scalar(value)}"


def _item(item: Any, pad: str) -> Iterator[str]:
    """One item of a list: a value, or a mapping of values."""
    if not isinstance(item, Mapping):
        yield f"{pad}- {_scalar(item)}"
        return
    for index, (key, value) in enumerate(item.items()):
        yield f"{pad}{'  ' if index else '- '}{_scalar(key)}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """A value on one line. JSON's text in quotes is YAML's too."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and isinstance(resolve(value), str):
        return value
    return json.dumps(value, ensure_ascii=False)
