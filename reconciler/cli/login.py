"""OpenSSH's command line for one machine: the same key, user, port, bastion and host key that the loop uses. Pure.

Everything is an argument of its own. ssh itself reads some of them once more: option values are split at blanks and
expand percent signs (ssh_config(5)), and what it runs as a proxy goes through a shell.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from reconciler.model.rows import Instance

SSH_PORT = 22
# A host that begins with a dash would be an option; one with several colons is an IPv6 address, in brackets or not.
_LOGIN = re.compile(
    r"(?:(?P<user>[^@\s-][^@\s]*)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^@:\s\[\]-][^@:\s]*|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)

# Nothing of the user's or the computer's own ssh settings, and nothing of ours for the machine to use.
ALWAYS = (
    "-F", "none",
    "-o", "IdentitiesOnly=yes",
    "-o", "PasswordAuthentication=no",
    "-o", "KbdInteractiveAuthentication=no",
    "-o", "ForwardAgent=no",
    "-o", "ForwardX11=no",
    "-o", "ControlPath=none",
    "-o", "UpdateHostKeys=no",
)  # fmt: skip


class NoWayInError(Exception):
    """There is no way into this machine; the message says why and what to do."""


@frozen(kw_only=True)
class Login:
    """How one machine is reached."""

    address: str
    port: int
    user: str  # empty for our own name
    key_path: Path | None  # None: ssh's own choice among ~/.ssh
    via: str  # a bastion, [user@]host[:port]; empty for none
    known_hosts: Path | None  # the user's own list of keys
    host_key: str  # pinned, as `algorithm base64`; empty where no key was seen yet


def login_of(row: Instance) -> Login:
    """The way into a machine of any cloud with an ssh of its own. Raises NoWayInError."""
    if not row.address:
        raise NoWayInError(f"{row.id} is {row.state} and has no address yet; look again with `reconcile show {row.id}`")
    try:
        settings = json.loads(row.settings)
        key, known = settings.get("key_path"), settings.get("known_hosts")
        user, via = settings["user"] or "", settings.get("via") or ""
        usual = int(settings.get("port") or SSH_PORT)
        own, host, port = _parsed(row.address)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoWayInError(f"{row.id}: the settings of cloud {row.cloud} say nothing of ssh: {error}") from error
    return Login(
        address=host,
        port=port or usual,
        user=own or user,
        key_path=Path(key) if key else None,
        via=via,
        known_hosts=Path(known) if known else None,
        host_key=row.host_key,
    )


def known_host(login: Login, alias: str) -> str:
    """The line that pins the machine's key, for a file of known hosts."""
    return f"{alias} {login.host_key}\n"


def arguments(
    login: Login, command: Sequence[str], *, program: str, alias: str, pinned: Path, first_use: bool, terminal: bool
) -> tuple[str, ...]:
    """The whole command line. `pinned` is a file with `known_host`, or an empty one to note a first key in.

    `terminal`: the machine gives us one. Without it ssh is not left to find out, since it would say so.
    """
    way = ("-o", f"ProxyCommand={_through(login, program)}") if login.via else ()
    user = ("-l", login.user) if login.user else ()
    line = (
        program, "-t" if terminal else "-T", *ALWAYS, *_identity(login),
        *_trust(login, alias, pinned, first_use=first_use), *way, *user, "-p", str(login.port), "--", login.address,
    )  # fmt: skip
    return (*line, shlex.join(command)) if command else line  # ssh sends one text, for the machine's shell to split


def _trust(login: Login, alias: str, pinned: Path, *, first_use: bool) -> Iterator[str]:
    """Which host key is believed: the pinned one, else the user's list, else the first seen if that was asked for."""
    own_list = not login.host_key and login.known_hosts is not None
    yield from ("-o", f"UserKnownHostsFile={_value(login.known_hosts if own_list else pinned)}")
    yield from ("-o", "GlobalKnownHostsFile=/dev/null")
    yield from ("-o", f"StrictHostKeyChecking={'accept-new' if first_use and not login.host_key else 'yes'}")
    if not own_list:
        yield from ("-o", f"HostKeyAlias={alias}")


def _through(login: Login, program: str) -> str:
    """The bastion's command: ssh's own -J would forget the key and read the user's settings. Its key is asked for."""
    user, host, port = _parsed(login.via)
    known = ("-o", f"UserKnownHostsFile={_value(login.known_hosts)}") if login.known_hosts else ()
    name = user or login.user
    who = ("-l", name) if name else ()
    line = (program, *ALWAYS, *_identity(login), *known, *who, "-p", str(port or SSH_PORT), "-W")
    return f"{shlex.join(line).replace('%', '%%')} '[%h]:%p' -- {shlex.quote(host).replace('%', '%%')}"


def _identity(login: Login) -> tuple[str, ...]:
    return ("-o", f"IdentityFile={_value(login.key_path)}") if login.key_path else ()


def _value(path: Path | None) -> str:
    """A path as the value of an option, so that ssh reads it as it is."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _parsed(text: str) -> tuple[str, str, int | None]:
    """User, host and port of `[user@]host[:port]`; what is not named is empty. Raises NoWayInError."""
    found = _LOGIN.fullmatch(text)
    if found is None:
        raise NoWayInError(f"{text!r} is nothing to connect to: write [user@]host[:port]")
    return found["user"] or "", found["v6"] or found["host"], int(found["port"]) if found["port"] else None
