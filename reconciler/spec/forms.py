"""What a type alone does not say of a key: how its value is written, what it means, how the file spells its name.

The classes in values.py and options.py carry these as `Annotated` metadata, so that the loader (structure.py), the JSON
Schema (schema.py) and the fingerprint (canonical.py) are driven by the one declaration of a key.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import attrs
from attrs import frozen

from reconciler.model.job import OutputLimits

_Mark = TypeVar("_Mark")


class Form(StrEnum):
    """How a value is written, where its type does not settle it."""

    DURATION = "duration"  # 90s, 10m, 12h, 2d; more than nothing
    DELAY = "delay"  # a duration that may be 0s
    BYTES = "bytes"  # 10GiB
    TRIES = "tries"  # a whole number from 0, or unlimited
    MARKET = "market"  # spot, then on-demand
    NAME = "name"  # of a controller or a pool
    TYPE = "type"  # of an instance
    DATABASE = "database"  # an SQLAlchemy URL
    COMMAND = "command"  # a POSIX sh script
    VARIABLE = "variable"  # the name of an environment variable
    VALUE = "value"  # what it is set to; may be empty
    TEMPLATE = "template"  # the same, kept as the file writes it: ${NAME} is looked up when a job starts
    GLOB = "glob"  # a file pattern that stays inside its folder
    FOLDER = "folder"  # one below the submission's own
    MACHINE_PATH = "path on the machine"  # ~/x or /x
    FILES = "files"  # paths here → paths on the machine, each its own
    SIZES = "sizes"  # instance type → how many, of one type at least
    WORDS = "words"  # one text, or a list of them
    SECRET = "secret"  # noqa: S105 (a form's name)  exactly ${NAME}: the value stays in the environment
    PRICE = "price"  # US dollars an hour
    URL = "url"  # http:// or https://
    LOGIN = "login"  # [user@]host[:port]
    ADDRESS = "address"  # public or private
    TAG = "tag"  # the name of a tag on a machine that is not ours
    TAG_VALUE = "value of a tag"  # may be empty
    CLOUD = "cloud"  # one of the registered clouds
    WORKLOAD = "workload"  # one of the registered workloads


@frozen
class Range:
    """The whole numbers that an int may be, both ends included."""

    low: int
    high: int


@frozen
class Spelling:
    """The key as the file writes it, where that is not the field's name."""

    name: str


@frozen
class Aside:
    """A cloud setting that does not make a machine what it is: changing it is no drift."""


@frozen
class Content:
    """A file of this computer that makes a machine what it is by what it says, wherever it lies. It must exist."""


@frozen
class Key:
    """One key of a file, as its field declares it."""

    name: str  # as the file writes it
    field: str  # as the class calls it
    annotation: Any  # the type with its metadata
    about: str  # one line for people
    required: bool
    default: Any  # None where required


# Classes of the model carry no marks of ours.
_ELSEWHERE: Mapping[type, Mapping[str, Any]] = MappingProxyType(
    {
        OutputLimits: {
            "bytes": Annotated[int, Form.BYTES, "their size together; a sparse file counts in full"],
            "files": Annotated[int, Range(1, 1_000_000), "how many files"],
        }
    }
)


def bare(annotation: Any) -> Any:
    """The type without its metadata."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def mark(annotation: Any, kind: type[_Mark]) -> _Mark | None:
    """The first piece of a type's metadata that is of one kind."""
    metadata = annotation.__metadata__ if get_origin(annotation) is Annotated else ()
    return next((each for each in metadata if isinstance(each, kind)), None)


@cache
def keys_of(cls: type) -> Mapping[str, Key]:
    """Every key that a class takes from a file, by the name in the file, in the class's order."""
    found = (_key(cls, field) for field in attrs.fields(cls) if field.name != "source")
    return MappingProxyType({key.name: key for key in found})


def _key(cls: type, field: Any) -> Key:
    annotation = _ELSEWHERE.get(cls, {}).get(field.name, field.type)
    spelling = mark(annotation, Spelling)
    metadata = annotation.__metadata__ if get_origin(annotation) is Annotated else ()
    required = field.default is attrs.NOTHING
    return Key(
        name=spelling.name if spelling else field.name,
        field=field.name,
        annotation=annotation,
        about=next((each for each in metadata if type(each) is str), ""),
        required=required,
        default=None if required else getattr(field.default, "factory", lambda: field.default)(),
    )
