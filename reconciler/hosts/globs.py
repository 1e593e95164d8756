"""Globs of outputs as POSIX extended regular expressions, which are what every machine's grep understands.

`*` and `?` stay within one folder and match a leading dot too, `**` as a whole component crosses folders, `[…]` is one
character, and a glob that ends in `/` is everything below that folder. The expressions are bytes for grep in the C
locale, where a character outside ASCII is several.
"""

from collections.abc import Iterable

_CONTINUED = b"[\x80-\xbf]"
_ONE = b"([^/\x80-\xff]|[\xc2-\xf4]" + _CONTINUED + b"+)"  # one UTF-8 character
_ANY = b"[^/]*"
_WILD = frozenset("*?[")
_SPECIAL = frozenset("\\^$.|?*+()[]{}")


class GlobError(ValueError):
    """A glob that cannot match any file of a work folder, or not in a way that grep can tell."""


def glob_to_ere(glob: str) -> bytes:
    """An expression that matches exactly the relative paths that `glob` means. Raises GlobError."""
    return b"^" + b"".join(_components(_split(glob))) + b"$"


def globs_to_lines(globs: Iterable[str]) -> bytes:
    """The expressions of all globs, a line each, for grep -E -f.

    The folders that a glob names are among them, with a slash at the end: where a link stands in the place of one, a
    search finds nothing below it, and its name is listed so.
    """
    lines: dict[bytes, None] = {}
    for glob in globs:
        lines[glob_to_ere(glob)] = None
        components = _split(glob)
        for depth in range(1, len(components)):
            if _WILD & set(components[depth - 1]):
                break
            lines[b"^" + b"".join(_components(components[:depth])) + b"/$"] = None
    return b"".join(line + b"\n" for line in lines)


def _split(glob: str) -> list[str]:
    if any(ord(character) < 32 or ord(character) == 127 for character in glob):
        raise GlobError(f"the glob {glob!r} has a control character in it: no output may")
    components = [part for part in glob.split("/") if part != "."]
    if glob.endswith("/"):
        components[-1] = "**"
    if not glob or "" in components or ".." in components:
        raise GlobError(f"the glob {glob!r} must be relative to the work folder, without empty parts or '..'")
    return components


def _components(components: list[str]) -> Iterable[bytes]:
    last = len(components) - 1
    for index, component in enumerate(components):
        if component == "**":
            yield b"[^/]+(/[^/]+)*" if index == last else b"([^/]+/)*"
        else:
            yield from _component(component)
            yield b"" if index == last else b"/"


def _component(text: str) -> Iterable[bytes]:
    at = 0
    while at < len(text):
        character = text[at]
        end = text.find("]", at + 3 if text[at + 1 : at + 2] == "!" else at + 2) if character == "[" else -1
        if end > 0:
            yield _bracket(text[at + 1 : end])
            at = end
        elif character == "*":
            yield _ANY
        elif character == "?":
            yield _ONE
        else:
            yield b"\\" + character.encode() if character in _SPECIAL else character.encode("utf-8", "surrogateescape")
        at += 1


def _bracket(inside: str) -> bytes:
    """A bracket expression, its characters in an order in which grep takes none of them for more than itself."""
    negated = inside.startswith("!")
    if not inside.isascii():
        raise GlobError(f"[{inside}] in a glob may hold ASCII characters only: write ? instead")
    members = _members(inside[negated:])
    if negated:
        return b"([^" + _listed(members | {"/"}, b"\x80-\xff") + b"]|[\xc2-\xf4]" + _CONTINUED + b"+)"
    members -= {"/"}
    if not members:
        raise GlobError(f"[{inside}] in a glob matches no character")
    if members <= {"^", "-"}:
        return b"(" + b"|".join(b"\\" + member.encode() if member == "^" else b"-" for member in sorted(members)) + b")"
    return b"[" + _listed(members) + b"]"


def _members(text: str) -> set[str]:
    members: set[str] = set()
    at = 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            members.update(chr(code) for code in range(ord(text[at]), ord(text[at + 2]) + 1))
            at += 3
        else:
            members.add(text[at])
            at += 1
    return members


def _listed(members: set[str], bytes_beyond: bytes = b"") -> bytes:
    head = "]" if "]" in members else ""
    tail = ("^" if "^" in members else "") + ("-" if "-" in members else "")
    middle = "".join(sorted(members - set("]^-")))
    return head.encode() + middle.encode() + bytes_beyond + tail.encode()
