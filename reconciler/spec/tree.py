"""A YAML file as a tree of nodes that know where they stand, built from ruamel.yaml's events.

Built from events and not from ruamel's own documents, because people's files are hostile now and then: depth, size and
what aliases expand to are bounded while reading, a duplicate key or a tag is one problem among all that are found, and
keys and values alike have a place.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, frozen

from reconciler.spec.errors import Problem, SpecError, shown
from reconciler.spec.text import Place, read_text, unreadable_yaml

MOST_DEPTH = 20
MOST_NODES = 10_000  # with aliases expanded


@frozen
class Scalar:
    """Text, and whether it was quoted: only plain text can be a number, a truth value or nothing."""

    place: Place
    text: str
    plain: bool
    weight: int = 1


@define
class Sequence:
    """A list."""

    place: Place
    items: list["Node"]
    weight: int = 1


@define
class Mapping:
    """Keys and values, in the file's order. Duplicate keys are kept, so that both can be named."""

    place: Place
    items: list[tuple["Node", "Node"]]
    weight: int = 1


Node = Scalar | Sequence | Mapping


def read_tree(file: Path) -> tuple[Node, tuple[Problem, ...]]:
    """The one document of a file, and what is wrong with it so far. Raises SpecError when it is not YAML."""
    text = read_text(file)
    builder = _Builder(file)
    # ruamel lets more than its own errors out (OverflowError for "\UFFFFFFFF"): whatever it raises, the file is wrong.
    try:
        for event in _events(text):
            builder.take(event)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError([*builder.problems, unreadable_yaml(file, text, error)]) from error
    if builder.root is None:
        raise SpecError([Problem(file, 1, 1, "the file is empty", "docs/spec.md shows what belongs in it")])
    return builder.root, tuple(builder.problems)


def _events(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML

    events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
    return events


class _Builder:
    """Puts events together. Holds the collections that are still open."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[tuple[Sequence | Mapping, str | None]] = []
        self._keys: list[Node | None] = []  # for each open mapping, the key that waits for its value
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        """Handle one event, by its kind's name."""
        handler = getattr(self, f"_{type(event).__name__}", None)
        if handler is not None:
            handler(event, Place(event.start_mark.line + 1, event.start_mark.column + 1))

    def _problem(self, place: Place, what: str, hint: str) -> Problem:
        return Problem(self.file, place.line, place.column, what, hint)

    def _DocumentStartEvent(self, _event: Any, place: Place) -> None:  # noqa: N802
        if self.root is not None:
            raise SpecError([self._problem(place, "a second document starts here", "keep one in a file")])

    def _ScalarEvent(self, event: Any, place: Place) -> None:  # noqa: N802
        self._refuse_tag(event, place)
        node = Scalar(place, event.value, event.implicit[0])
        self._add(node)
        self._remember(event.anchor, node)

    def _AliasEvent(self, event: Any, place: Place) -> None:  # noqa: N802
        target = self._anchors.get(event.anchor)
        if target is None:
            what = f"*{event.anchor} names nothing that ends above it"
            raise SpecError([*self.problems, self._problem(place, what, f"mark something with &{event.anchor} first")])
        self._add(target)

    def _SequenceStartEvent(self, event: Any, place: Place) -> None:  # noqa: N802
        self._start(Sequence(place, []), event)

    def _MappingStartEvent(self, event: Any, place: Place) -> None:  # noqa: N802
        self._start(Mapping(place, []), event)

    def _SequenceEndEvent(self, _event: Any, _place: Place) -> None:  # noqa: N802
        self._end()

    _MappingEndEvent = _SequenceEndEvent

    def _start(self, node: Sequence | Mapping, event: Any) -> None:
        self._refuse_tag(event, node.place)
        if len(self._open) >= MOST_DEPTH:
            what = f"nested more than {MOST_DEPTH} deep"
            raise SpecError([*self.problems, self._problem(node.place, what, "no key takes anything as deep as that")])
        self._open.append((node, event.anchor))
        self._keys.append(None)

    def _end(self) -> None:
        node, anchor = self._open.pop()
        self._keys.pop()
        self._add(node)
        self._remember(anchor, node)

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _add(self, node: Node) -> None:
        """Put a finished node into the collection that is open. A collection weighs what its parts weigh."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1][0]
        parent.weight += node.weight
        if parent.weight > MOST_NODES:
            what = f"holds more than {MOST_NODES} values, with aliases written out"
            raise SpecError([*self.problems, self._problem(parent.place, what, "write less, or fewer aliases")])
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif self._keys[-1] is None:
            self._keys[-1] = node
        else:
            parent.items.append((self._keys[-1], node))
            self._keys[-1] = None

    def _refuse_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            what = f"the tag {shown(str(event.tag))} is not read here"
            self.problems.append(self._problem(place, what, "write the plain value, in quotes if it is text"))
