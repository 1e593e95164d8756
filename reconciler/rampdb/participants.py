"""What a participant is told of a failure: RAMP's view of a log, without our secrets and our server's folders.

RAMP shows the log from its first "Traceback" on (ramp_engine/base.py, _get_traceback), and all of a log without one.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import make_url

from reconciler.model.printable import printable

MOST = 64 * 1024  # bytes of a log that are shown
_LOOKED_AT = 16 * 1024 * 1024  # bytes from the beginning of a log in which a traceback is looked for
_LAST = 8 * 1024  # bytes from the end of a log without one
_LONGEST_LINE = 2000  # characters
_SHORTEST_SECRET = 4  # characters; less than that stands in any text

# Ours, whatever became of it. The first sentences are RAMP's own (ramp_engine/dispatcher.py, launch_workers).
OUR_FAULT = (
    "There was a problem with sending your submission for training. This problem is on RAMP side and most likely it is "
    "not related to your code. If this happened for the first time to this submission you might consider submitting "
    "the same code once again. Else, please contact the event organizers."
)
CANCELLED = "The organizers cancelled this submission before it was done. Please ask them, or submit it again."

_FILE = re.compile(r'(?<=File ")/[^"\n]+')
_PATH = re.compile(r"(?<![\w.:/~-])/(?:[^\s/\"'`:,;()<>\[\]{}]+/)+[^\s/\"'`:,;()<>\[\]{}]*")
_KEPT = re.compile(r".*/(?:site-packages|dist-packages|python3\.\d+)/(.+)")
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]+):[^\s/@]+(?=@)")
_AWS_KEY = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
_SECRET_NAME = re.compile(r"SECRET|PASSW|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE", re.IGNORECASE)
_FILLED = re.compile(r"\$\{(\w+)\}")


def of_log(log: Path, secrets: Iterable[str]) -> str:
    """What a log says of a failure. Empty where there is no log."""
    try:
        with log.open("rb") as stream:
            head = stream.read(_LOOKED_AT)
            at = head.find(b"Traceback")
            if at < 0:
                size = stream.seek(0, 2)
                stream.seek(max(0, size - _LAST))
                shown = stream.read(_LAST)
            else:
                stream.seek(at)
                shown = stream.read(MOST)
    except OSError:
        return ""
    return cleaned(shown.decode("utf-8", "replace"), secrets)


def cleaned(text: str, secrets: Iterable[str]) -> str:
    """The text without secrets, folders of this server, or anything that a terminal or a database chokes on."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    text = _AWS_KEY.sub("***", _URL_PASSWORD.sub(r"\1:***", text))
    text = _PATH.sub(_short, _FILE.sub(_short, text))
    return "\n".join(_line(line) for line in re.split(r"\r\n|[\r\n]", text)).strip("\n")


def secrets(environ: Mapping[str, str], templates: Mapping[str, str], database: str) -> frozenset[str]:
    """What must not be shown: what the pool's ${NAME}s stand for, what our environment calls a secret, passwords."""
    named = {name for template in templates.values() for name in _FILLED.findall(template)}
    named |= {name for name in environ if _SECRET_NAME.search(name)}
    password = make_url(database).password
    return frozenset({environ[name] for name in named if environ.get(name)} | ({str(password)} if password else set()))


def _short(match: re.Match[str]) -> str:
    """A path as its package has it, else its last part."""
    kept = _KEPT.search(match[0])
    return kept[1] if kept else match[0].rstrip("/").rsplit("/", 1)[-1]


def _line(line: str) -> str:
    """One line with its indentation, which a traceback is read by."""
    bare = line.lstrip(" \t")
    return line[: len(line) - len(bare)].expandtabs(4) + printable(bare, _LONGEST_LINE)
