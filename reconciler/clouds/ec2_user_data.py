"""What a machine does at its first boot: arm the dead-man watch, and what the user's own file says. Pure.

cloud-init reads it as one MIME message ("User data formats", cloud-init documentation). Ours is a boothook, because
those run at every boot: a machine that was stopped and started is watched too.
"""

import gzip
import shlex
import zlib
from email import message_from_bytes
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from functools import cache
from hashlib import sha256
from importlib.resources import files as package_files

from reconciler.clouds.base import CloudError
from reconciler.model.offer import Fault

MOST = 16 * 1024  # bytes before they are encoded ("Instance user data", EC2 User Guide)
_GZIP = b"\x1f\x8b"

# How the user's file begins → its type, in the order in which cloud-init looks.
_KINDS = (
    (b"#!", "x-shellscript"),
    (b"#cloud-config-archive", "cloud-config-archive"),
    (b"#cloud-config", "cloud-config"),
    (b"#cloud-boothook", "cloud-boothook"),
    (b"#include-once", "x-include-once-url"),
    (b"#include", "x-include-url"),
    (b"#part-handler", "part-handler"),
    (b"## template: jinja", "jinja2"),
)


@cache
def watch_script() -> str:
    """The watch's text, without its arguments."""
    return (package_files("reconciler.clouds") / "ec2_watch.sh").read_text(encoding="utf-8")


def armed(lease: float, user: str) -> str:
    """The script of one machine: `lease` in seconds of uptime, `user` is who logs in. Both are quoted arguments."""
    return f"#!/bin/sh\nset -- {int(lease)} {shlex.quote(user)}\n{watch_script()}"


def user_data(lease: float, user: str, own: bytes = b"") -> str:
    """The whole, the same for the same arguments. Raises CloudError when the user's file is none, or is too long."""
    whole = MIMEMultipart(boundary=f"reconciler-{sha256(own).hexdigest()[:32]}")
    whole.attach(_part("cloud-boothook", "#cloud-boothook\n" + armed(lease, user)))
    for part in _parts(own):
        whole.attach(part)
    text = whole.as_string()
    if len(text.encode()) > MOST:
        hint = "let it fetch the rest, or use the pool's setup: and files:"
        raise CloudError(
            Fault.REFUSED, f"user data of {len(text.encode())} bytes, of which EC2 takes {MOST}: shorten it; {hint}"
        )
    return text


def _part(kind: str, text: str) -> Message:
    part = MIMENonMultipart("text", kind)
    part.set_payload(text, "us-ascii" if text.isascii() else "utf-8")
    return part


def _parts(own: bytes) -> list[Message]:
    """The user's file as parts; a MIME message of theirs is taken apart."""
    if own.startswith(_GZIP):
        own = _unzipped(own)
    if not own.strip():
        return []
    if own.lstrip()[:13].lower() in (b"content-type:", b"mime-version:"):
        message = message_from_bytes(own)
        return [part for part in message.walk() if not part.is_multipart()]
    kind = next((kind for start, kind in _KINDS if own.startswith(start)), None)
    if kind is None:
        hint = "begin it with #! and a shell, or with #cloud-config"
        raise CloudError(Fault.REFUSED, f"the user data is nothing that cloud-init knows: {hint}")
    try:
        return [_part(kind, own.decode())]
    except UnicodeDecodeError as error:
        raise CloudError(Fault.REFUSED, "the user data is not UTF-8: save it as that") from error


def _unzipped(own: bytes) -> bytes:
    try:
        return gzip.decompress(own)
    except (OSError, EOFError, zlib.error) as error:
        raise CloudError(Fault.REFUSED, f"the user data begins like a gzip file and is none: {error}") from error
