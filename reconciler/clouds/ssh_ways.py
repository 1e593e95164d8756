"""The machines that a pool's settings name, how each is reached, and the host keys that they showed first.

Keys are kept beside the database, in the file `ssh_hosts`: these machines are talked to before they have a row. One
line a machine: its name, algorithm, key in base64. The first line of a name counts; whoever reinstalls a machine
removes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve, frozen

from reconciler.hosts.ssh_way import Way, parse_login
from reconciler.spec import options

FILE = "ssh_hosts"
_FIELDS = 3


@frozen
class Site:
    """One machine that is simply there."""

    address: str  # as the settings write it
    name: str  # host:port
    plain: Way  # without a pinned key

    def way(self, host_key: str) -> Way:
        """The way there, pinned to a key unless that is empty."""
        return evolve(self.plain, host_key=host_key)


def sites(settings: options.SshCloud) -> Sequence[Site]:
    """Each machine once, in the order of the settings."""
    found: dict[str, Site] = {}
    for address in settings.machines:
        user, host, port = parse_login(address)
        way = Way(
            address=host,
            port=port,
            key_path=settings.key_path,
            via=settings.via or "",
            known_hosts=settings.known_hosts,
        )
        chosen = user or settings.user
        name = f"{host}:{port}"
        found.setdefault(name, Site(address, name, evolve(way, user=chosen) if chosen else way))
    return tuple(found.values())


def read_pins(folder: Path) -> Mapping[str, str]:
    """Machine → `algorithm base64`. Raises OSError."""
    path = folder / FILE
    if not path.exists():
        return {}
    pins: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split(" ")
        if len(words) == _FIELDS:
            pins.setdefault(words[0], f"{words[1]} {words[2]}")
    return pins


def add_pins(folder: Path, pins: Mapping[str, str]) -> None:
    """Remember more, in one write. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write("".join(f"{name} {key}\n" for name, key in pins.items()))
