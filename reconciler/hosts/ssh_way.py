"""How a machine is reached by SSH, and one login there, with nothing taken from anybody's ssh_config.

Only a public key opens a machine: no agent is asked or forwarded, no password sent, no ticket shown, and no file is
read but those that the way names.
"""

import getpass
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncssh
from attrs import field, frozen

from reconciler.hosts.base import UnreachableError
from reconciler.hosts.ssh_keys import fingerprint, our_keys, public_key

CONNECT = 15.0  # seconds until a machine has taken the connection
LOGIN = 30.0  # seconds until it has let us in
KEEPALIVE = 15.0  # seconds of silence after which it is asked whether it is there …
KEEPALIVES = 3  # … and so often, before the connection counts as lost
# The first is the fastest by far where the processor knows AES; the others are for servers that do not know it.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
           "aes128-ctr", "aes256-ctr")  # fmt: skip
# In this order, whenever a machine is met for the first time.
HOST_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
             "rsa-sha2-512", "rsa-sha2-256")  # fmt: skip
_LOGIN = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^@:\s]+))(?::(?P<port>[0-9]{1,5}))?"
)

# Everything that asyncssh would otherwise look for by itself.
_NOTHING_ELSE: Mapping[str, Any] = MappingProxyType(
    {
        "config": None,
        "agent_path": None,
        "agent_forwarding": False,
        "password": None,
        "preferred_auth": "publickey",
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "gss_kex": False,
        "gss_auth": False,
        "pkcs11_provider": None,
        "x11_forwarding": False,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": (),
        "client_certs": (),
        "compression_algs": ["none"],
        "encryption_algs": list(CIPHERS),
        "connect_timeout": CONNECT,
        "login_timeout": LOGIN,
        "keepalive_interval": KEEPALIVE,
        "keepalive_count_max": KEEPALIVES,
    }
)


class OtherKeyError(Exception):
    """The machine did not show the key that it must have."""


@frozen(kw_only=True)
class Way:
    """How a machine is reached. Without a user it is our own name; without a key file, the usual keys in ~/.ssh."""

    address: str
    port: int = 22
    user: str = field(factory=getpass.getuser)
    key_path: Path | None = None
    via: str = ""  # a bastion, `[user@]host[:port]`; the same user and key open it
    known_hosts: Path | None = None  # only what this file says of a host's key is believed
    host_key: str = ""  # `algorithm base64`: no other is believed

    @property
    def name(self) -> str:
        """What people call it."""
        return self.address if self.port == 22 else f"{self.address}:{self.port}"

    def bastion(self) -> "Way | None":
        """The way to the machine that this way leads through. Raises UnreachableError."""
        if not self.via:
            return None
        user, host, port = parse_login(self.via)
        return Way(
            address=host, port=port, user=user or self.user, key_path=self.key_path, known_hosts=self.known_hosts
        )


def parse_login(text: str) -> tuple[str, str, int]:
    """User (may be empty), host and port (22 without one) of `[user@]host[:port]`. Raises UnreachableError."""
    found = _LOGIN.fullmatch(text)
    if found is None:
        raise UnreachableError(f"{text!r} is not where one can log in: write [user@]host[:port]")
    return found["user"] or "", found["v6"] or found["host"], int(found["port"] or 22)


async def login(
    way: Way, *, believed: Sequence[str], tunnel: asyncssh.SSHClientConnection | None, home: Path
) -> asyncssh.SSHClientConnection:
    """One login. `believed`: the host keys of which it must show one, each `algorithm base64`; none: any key will do,
    unless the way names a file of known hosts.

    Raises OtherKeyError when it shows another, UnreachableError for all else, with what to do about it.
    """
    keys = our_keys(way.key_path, home)
    try:
        return await asyncssh.connect(
            way.address, way.port, username=way.user, client_keys=list(keys), tunnel=tunnel or (),
            known_hosts=_known_hosts(way, believed), server_host_key_algs=_asked_for(way, believed), **_NOTHING_ELSE,
        )  # fmt: skip
    except asyncssh.HostKeyNotVerifiable as error:
        raise OtherKeyError(_distrust(way, believed)) from error
    except asyncssh.KeyExchangeFailed as error:
        if believed:  # it has no key of the kind that it had
            raise OtherKeyError(_distrust(way, believed)) from error
        raise UnreachableError(f"{way.name} and we have no way of speaking in common: {error}") from error
    except asyncssh.PermissionDenied as error:
        raise UnreachableError(
            f"{way.name} does not let {way.user} in with {way.key_path or 'the keys in ~/.ssh'}:"
            f" check user and key_path, and authorized_keys on the machine"
        ) from error
    except TimeoutError as error:
        raise UnreachableError(f"{way.name} did not answer in time") from error
    except (asyncssh.Error, OSError, ValueError) as error:
        raise UnreachableError(f"{way.name} cannot be reached: {_said(error)}") from error


def _asked_for(way: Way, believed: Sequence[str]) -> Any:
    """The kinds of host keys that are asked for: those that are believed first, so that a machine with several shows
    that one; then the others, so that one that does not have it shows what it has.
    """
    if not believed and way.known_hosts is not None:
        return ()
    first = [kind.decode() for text in believed for kind in public_key(text).sig_algorithms]
    return list(dict.fromkeys([*first, *HOST_KEYS]))


def _known_hosts(way: Way, believed: Sequence[str]) -> Any:
    if believed:
        return ([public_key(text) for text in believed], [], [])
    if way.known_hosts is None:
        return None
    if not way.known_hosts.is_file():
        raise UnreachableError(f"known_hosts: {way.known_hosts} is not there: write it, for example with ssh-keyscan")
    return str(way.known_hosts)


def _distrust(way: Way, believed: Sequence[str]) -> str:
    if believed:
        before = " or ".join(fingerprint(text) for text in believed)
        return f"the host key of {way.name} changed: it must be {before}; nothing more is sent to it"
    return (
        f"{way.known_hosts} does not have the host key that {way.name} shows: nothing is sent to it;"
        f" if the key is right, add it, for example with ssh-keyscan"
    )


def _said(error: Exception) -> str:
    if isinstance(error, asyncssh.Error):
        return error.reason or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
