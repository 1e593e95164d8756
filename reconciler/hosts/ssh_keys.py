"""The keys of both sides: which of ours are shown, which of a machine's are believed."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import asyncssh

from reconciler.hosts.base import UnreachableError

# Taken in this order where no key file is named: the names that ssh-keygen gives.
DEFAULTS = ("id_ed25519", "id_ecdsa", "id_rsa")


def our_keys(path: Path | None, home: Path) -> Sequence[asyncssh.SSHKey]:
    """The private keys that are shown to machines: that of a file, or the usual ones below `home`.

    Raises UnreachableError that says what to do: no machine can be reached without one.
    """
    if path is not None:
        return (_read(path),)
    there = [file for name in DEFAULTS if (file := home / ".ssh" / name).is_file()]
    if not there:
        raise UnreachableError(f"there is no key in {home / '.ssh'} ({', '.join(DEFAULTS)}): name one with key_path")
    found: list[asyncssh.SSHKey] = []
    faults: list[UnreachableError] = []
    for file in there:
        try:
            found.append(_read(file))
        except UnreachableError as fault:
            faults.append(fault)
    if not found:
        raise faults[0]
    return tuple(found)


def _read(path: Path) -> asyncssh.SSHKey:
    try:
        status = path.stat()
        return _parsed(path, status.st_mtime_ns, status.st_size)
    except FileNotFoundError as error:
        raise UnreachableError(f"the key file {path} is not there: correct key_path, or put it there") from error
    except OSError as error:
        raise UnreachableError(
            f"the key file {path} cannot be read ({error.strerror}): it must be a file that you may read"
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        if "passphrase" in str(error).lower() or "encrypted" in str(error).lower():
            raise UnreachableError(
                f"the key file {path} is encrypted, and nobody is there to type its passphrase: name a key without one"
            ) from error
        raise UnreachableError(
            f"the key file {path} holds no private key: name the private half, without .pub"
        ) from error


@lru_cache(maxsize=64)
def _parsed(path: Path, changed: int, size: int) -> asyncssh.SSHKey:  # noqa: ARG001 (another time, another key)
    """An RSA key takes tens of milliseconds to check: once for all machines."""
    return asyncssh.read_private_key(path)


def public_key(text: str) -> asyncssh.SSHKey:
    """A host's key from `algorithm base64`. Raises UnreachableError."""
    try:
        return asyncssh.import_public_key(text)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise UnreachableError(f"{text[:100]!r} is no host key: write `algorithm base64`") from error


def written(key: asyncssh.SSHKey) -> str:
    """A host's key as `algorithm base64`, without a comment."""
    return " ".join(key.export_public_key().decode().split()[:2])


def fingerprint(text: str) -> str:
    """What people compare: the algorithm and the SHA-256 fingerprint of `algorithm base64`."""
    key = public_key(text)
    return f"{text.split()[0]} {key.get_fingerprint()}"
