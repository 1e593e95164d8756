"""The error that a participant sees: a log's tracebacks, without what the server's owner keeps to himself.

Sinks that tell participants of a failure share it. It is a courtesy, not a wall: a submission can print whatever it can
read, so what no participant may know must not be readable on the machine.
"""

import re
from collections.abc import Iterable

from reconciler.model.printable import printable

_START = "Traceback"
_LOOKED_AT = 64 * 1024  # characters at either end of what follows the first traceback
_LONGEST_LINE = 1000
_CUT = "[…]"

_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS: the id of a key
    re.compile(r"(?<=://)[^\s/@'\"]{1,300}(?=@)"),  # in a URL: who logs in, and by what password
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{8,}"),
    # NAME=value, 'NAME': 'value', name: value
    re.compile(
        r"(?i)(?<![A-Za-z0-9])[\w.-]{0,60}(?:secret|token|passw(?:or)?d|api_?key|access_?key|private_?key|credential)"
        r"[\w.-]{0,60}['\"]?\s{0,3}[=:]\s{0,3}(?P<value>'[^'\n]*'|\"[^\"\n]*\"|[^\s,;)}\]]+)"
    ),
)

_SPOT = r"(?<![\w.~>/…-])"  # a path begins here
_HOME = re.compile(_SPOT + r"(/[^\"'\n:]{1,400}?)/\.reconciler/jobs/")
_SUBMISSION = re.compile(
    r"~/\.reconciler/jobs/[^/\s\"']+/work(?:/\.ramp/kit/submissions/[^/\s\"']+|/\.ramp/submissions/[^/\s\"']+"
    r"|(?!/\.ramp))"
)
_OWN_KIT = re.compile(r"~/\.reconciler/jobs/[^/\s\"']+/work/\.ramp/kit")
_HOMES = re.compile(_SPOT + r"(?:/home/[^/\s\"']+|/Users/[^/\s\"']+|/root)(?=[/\s\"']|$)")
_LIBRARY = re.compile(r"(?:~|" + _SPOT + r")/[^\"'\n:]{0,400}?/(?=(?:site|dist)-packages/)")
_ELSEWHERE = re.compile(_SPOT + r"/(?:[\w.+@-]+/)+(?=[\w.+@-])")


def participant_error(log: str, *, kit: str = "", secrets: Iterable[str] = (), most: int = 10_000) -> str:
    """The log from its first "Traceback" on, fit for a participant's page; empty when there is none.

    Secrets become `***`: those given, and what looks like one (keys, passwords, tokens). Paths of the server become
    `~`, `<kit>` (`kit`: its folder as the pool names it, `~/x` or `/x`), `<submission>`, or their last
    part behind `…/`. Escape sequences go. Of more than `most` characters, the beginning and, above all, the end stay.
    """
    begin = log.find(_START)
    if begin < 0:
        return ""
    text = _shorter(log[begin:], 2 * _LOOKED_AT, _LOOKED_AT)
    text = _without_secrets(text, secrets)
    text = "\n".join(_line(line) for line in re.split(r"\r?\n|\r", text)).rstrip()
    return _shorter(_without_paths(text, kit), most, most // 4)


def _shorter(text: str, most: int, head: int) -> str:
    """At most `most` characters: whole lines of the first `head`, and of the end."""
    if len(text) <= most:
        return text
    first = text[:head].rpartition("\n")[0]
    last = text[len(text) - (most - head - len(_CUT) - 2) :].partition("\n")[2]
    return "\n".join((first, _CUT, last))


def _line(line: str) -> str:
    """One line as it is indented, without anything that a terminal obeys."""
    said = line.lstrip(" \t")
    return " " * min(len(line) - len(said), 80) + printable(said, _LONGEST_LINE)


def _without_secrets(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(str.strip, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    for pattern in _SECRETS:
        text = pattern.sub(_hidden, text)
    return text


def _hidden(match: re.Match[str]) -> str:
    """`***` in the place of the value, where the pattern names one, else of all."""
    if "value" not in match.groupdict():
        return "***"
    return match[0][: match.start("value") - match.start()] + "***"


def _without_paths(text: str, kit: str) -> str:
    for home in sorted(set(_HOME.findall(text)), key=len, reverse=True):
        text = re.sub(_SPOT + re.escape(home) + r"(?=[/\s\"']|$)", "~", text, flags=re.MULTILINE)
    text = _HOMES.sub("~", text)
    text = _OWN_KIT.sub("<kit>", _SUBMISSION.sub("<submission>", text))
    if kit.strip("~/"):
        text = re.sub(
            re.escape(_HOMES.sub("~", kit.rstrip("/"))) + r"(?=[/\s\"']|$)", "<kit>", text, flags=re.MULTILINE
        )
    text = _LIBRARY.sub("…/", text)
    return _ELSEWHERE.sub("…/", text)
