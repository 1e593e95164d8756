"""Checks of keys that take more than a scalar, or one with a meaning beyond its shape. All of them raise Wrong."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from reconciler.spec.errors import Filled, Wrong, shown
from reconciler.spec.scalars import VARIABLE_PATTERN, clean, text

RESERVED = "RECONCILER_"  # ours, in every job's environment
_BRACKETS = re.compile(r"\[(!?.[^\]]*)\]")
_RANGES = re.compile(r"(.)-(.)")
SECRET_PATTERN = rf"\$\{{{VARIABLE_PATTERN}\}}"
URL_PATTERN = r"https?://[^\s/@?#]+(/[^\s@?#]*)?"
LOGIN_PATTERN = r"([A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?"
TAG_PATTERN = r"(?!aws:|reconciler:)[\w .:/=+@-]{1,128}"  # what EC2 takes, without the prefixes that are not free
_LONGEST_TAG = 256
_DATABASES = "write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"


def local_path(value: object) -> Path:
    """A path on this computer, `~` expanded; still relative where the file says so."""
    said = text(value)
    try:
        return Path(said).expanduser()
    except RuntimeError as error:
        raise Wrong(f"nobody's home is known for {shown(value)}", "write the whole path") from error


def machine_path(value: object) -> str:
    """A path on a machine: `~/x`, or `/x`."""
    said = text(value)
    if not said.startswith(("~/", "/")) or said.strip("/") == "~":
        raise Wrong(f"{shown(value)} is not a path on a machine", "begin with ~/ for the machine's home, or with /")
    if ".." in PurePosixPath(said).parts:
        raise Wrong(f"{shown(value)} leads upwards", "write the path without ..")
    return said


def folder(value: object) -> str:
    """A folder below the submission's own, by its name alone."""
    said = glob(value).removesuffix("/")
    if any(sign in said for sign in "*?["):
        raise Wrong(f"{shown(value)} is a pattern", "name one folder, such as checkpoint")
    return said


def glob(value: object) -> str:
    """A file pattern that stays inside its folder, and that the agent on a machine can follow."""
    said = text(value)
    parts = said.removesuffix("/").split("/")
    if said.startswith(("/", "~")) or ".." in parts:
        raise Wrong(f"{shown(value)} leads out of the submission's folder", "write a pattern below it, such as out/**")
    if "" in parts or not said.isprintable():
        raise Wrong(f"{shown(value)} has an empty part or a control character", "write a pattern such as out/**")
    for inside in _BRACKETS.findall(said):
        if not inside.isascii() or any(low > high for low, high in _RANGES.findall(inside)):
            raise Wrong(f"[{inside}] matches no character", "write ASCII characters, or a range such as [a-z]")
    return said


def variable(value: object) -> str:
    """The name of an environment variable that is not ours."""
    said = text(value)
    if not re.fullmatch(VARIABLE_PATTERN, said, re.ASCII):
        raise Wrong(f"{shown(value)} is not the name of an environment variable", "use A-Z, a-z, 0-9 and _")
    if said.startswith(RESERVED):
        raise Wrong(f"{shown(value)} is set by the reconciler", "choose a name without RECONCILER_")
    return said


def variable_value(value: object) -> str:
    """What a variable is set to. It may be empty."""
    return clean(value) if isinstance(value, str) else text(value)


def template(value: object) -> str:
    """What a variable is set to, as the file writes it: what it takes from the environment may be secret."""
    said = variable_value(value)
    return value.written if isinstance(value, Filled) else said.replace("${", "$${")


def words(value: object) -> tuple[str, ...]:
    """One text, or a list of them, each once."""
    items = tuple(text(each) for each in value) if isinstance(value, list) else (text(value),)
    if not items or len(set(items)) < len(items):
        raise Wrong("the list is empty, or names one twice", "name each once, or leave the key out")
    return items


def secret(value: object) -> str:
    """A reference to the environment, as it is written. A value is never quoted, and never kept."""
    if not isinstance(value, Filled) or not re.fullmatch(SECRET_PATTERN, value.written, re.ASCII):
        raise Wrong("a secret does not belong in a file", "write ${NAME} and export NAME")
    if not value.strip():
        raise Wrong(f"{value.written} is empty", "export it with a value")
    return value.written


def url(value: object) -> str:
    """The address of a service, without a user in it."""
    said = text(value)
    if not re.fullmatch(URL_PATTERN, said):
        raise Wrong("not the address of a service", "write http://HOST:PORT or https://HOST")
    return said


def login(value: object) -> str:
    """Where to log in on the way: [user@]host[:port]."""
    said = text(value)
    if not re.fullmatch(LOGIN_PATTERN, said, re.ASCII):
        raise Wrong(f"{shown(value)} is not a host to log in to", "write [user@]host[:port]")
    return said


def tag(value: object) -> str:
    """The name of a tag that is the user's own."""
    said = text(value)
    if not re.fullmatch(TAG_PATTERN, said):
        hint = "use at most 128 letters, digits, spaces and _.:/=+-@, and neither aws: nor reconciler: in front"
        raise Wrong(f"{shown(value)} cannot be the name of a tag", hint)
    return said


def tag_value(value: object) -> str:
    """What a tag says. It may be empty."""
    said = clean(value) if isinstance(value, str) else text(value)
    if len(said) > _LONGEST_TAG:
        raise Wrong("the tag's value is too long", f"write {_LONGEST_TAG} characters at most")
    return said


def database(value: object) -> str:
    """An SQLAlchemy URL of a database that outlives the program. The value is never quoted: it may hold a password."""
    said = text(value)
    scheme, found, rest = said.partition("://")
    if not found or scheme not in ("sqlite", "postgresql", "postgresql+psycopg"):
        raise Wrong("the URL is not one of a database that can be used", _DATABASES)
    if scheme == "sqlite" and (not rest.startswith("/") or rest.partition("?")[0] in ("/", "/:memory:")):
        raise Wrong("the URL names no file", "write sqlite:///FILE: three slashes, then the path")
    if scheme != "sqlite" and not re.fullmatch(r"[^/?\s]*/[^/?\s]+(\?\S*)?", rest):
        raise Wrong("the URL names no database", "write postgresql+psycopg://USER@HOST/NAME")
    return said


def anchored_database(url: str, folder: Path) -> str:
    """The URL, with SQLite's path made absolute: relative ones are relative to `folder`, `~` is a home."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        return url
    path, question, query = url.removeprefix(prefix).partition("?")
    return f"{prefix}{anchored(local_path(path), folder)}{question}{query}"


def anchored(path: Path, folder: Path) -> Path:
    """The absolute path of one that may be relative to a folder. `..` is taken out; links are left as they are."""
    import os.path

    return Path(os.path.abspath(folder / path))  # noqa: PTH100


def some_type(sizes: Mapping[str, object]) -> None:
    """A pool without a type could never have a machine."""
    if not sizes:
        raise Wrong("no instance type is named", "name one and how many, such as {local: 0..3}")


def targets_apart(files: Mapping[Path, str]) -> None:
    """Two files must not go to one place on the machine, nor where its agent keeps its own."""
    seen: set[PurePosixPath] = set()
    for target in map(PurePosixPath, files.values()):
        if target in seen:
            raise Wrong("two of them go to one place", "give each a place of its own")
        if target.is_relative_to("~/.reconciler"):
            raise Wrong("~/.reconciler belongs to the agent", "choose another place")
        seen.add(target)
