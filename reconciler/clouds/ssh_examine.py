"""What `doctor` looks at before a pool of machines that are simply there is used: our key, and each machine itself."""

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from reconciler.clouds.base import Check, Found, Here
from reconciler.clouds.ssh_owner import PATIENCE, scan
from reconciler.clouds.ssh_ways import FILE, Site, read_pins, sites
from reconciler.hosts.base import HostRefusedError, UnreachableError
from reconciler.hosts.ssh import SshTransport
from reconciler.spec.options import SshCloud
from reconciler.spec.values import Pool

_LEAST_DISK = 1024 * 1024  # KiB that should be free in the home: 1 GiB
_MOST_SKEW = 30.0  # seconds that a machine's clock may be off before times in results confuse people
_LOOK = """
for tool in tar awk sed grep xargs mkfifo ps python3; do
    command -v "$tool" >/dev/null 2>&1 || printf 'missing %s\\n' "$tool"
done
[ -w "$HOME" ] || echo readonly
df -Pk "$HOME" 2>/dev/null | awk 'NR == 2 { print "free", $4 }'
printf 'clock %s\\n' "$(date +%s)"
"""
_OPTIONAL = frozenset({"ps", "python3"})  # the agent does without: RAMP and most setups do not


async def examine(pool: Pool, here: Here, *, clock: Callable[[], float] = time.time) -> AsyncIterator[Check]:
    """The key file, then every machine, as it answers. `clock` tells seconds since the epoch."""
    settings = pool.cloud.settings
    assert isinstance(settings, SshCloud)
    if settings.key_path is not None:
        yield _key_file(settings.key_path)
    if not settings.machines:
        yield Check(what="machines", found=Found.PROBLEM, text="none is named: list them under `machines`")
    pins = read_pins(here.folder) if settings.known_hosts is None else {}
    tasks = [asyncio.ensure_future(_machine(site, pins.get(site.name, ""), here, clock)) for site in sites(settings)]
    try:
        for task in asyncio.as_completed(tasks):
            for check in await task:
                yield check
    finally:
        for task in tasks:
            task.cancel()


def _key_file(path: Path) -> Check:
    what = f"key file {path}"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Check(what=what, found=Found.PROBLEM, text=f"{error.strerror}: correct key_path")
    if mode & 0o077:
        return Check(what=what, found=Found.PROBLEM, text=f"others may read it ({mode:o}): chmod 600 {path}")
    return Check(what=what, found=Found.OK, text=f"only you may read it ({mode:o})")


async def _machine(site: Site, pinned: str, here: Here, clock: Callable[[], float]) -> Sequence[Check]:
    transport = SshTransport(site.way(pinned), handshakes=here.handshakes)
    try:
        before = clock()
        result = await transport.run(("sh", "-c", _LOOK, "look"), timeout=PATIENCE)
        owned = await scan(transport)
    except (UnreachableError, HostRefusedError) as error:
        changed = pinned and "changed" in str(error)
        hint = f"; if it was reinstalled, remove its line from {here.folder / FILE}" if changed else ""
        return [Check(what=site.name, found=Found.PROBLEM, text=f"{error}{hint}")]
    finally:
        await transport.close()
    checks = [_ownership(site.name, owned.foreign, owned.claim.controller if owned.claim else "", here)]
    checks += _tools(site.name, result.stdout.decode(errors="replace").splitlines(), before)
    return checks


def _ownership(name: str, foreign: bool, controller: str, here: Here) -> Check:
    what = f"{name}: owner"
    if foreign:
        return Check(
            what=what, found=Found.PROBLEM, text="it is in use by somebody who is not a reconciler's ssh cloud"
        )
    if controller and controller != here.owner.controller:
        text = (
            f"it belongs to the controller {controller}: wait, or remove ~/.reconciler/owner there if that one is gone"
        )
        return Check(what=what, found=Found.PROBLEM, text=text)
    return Check(what=what, found=Found.OK, text="ours" if controller else "free")


def _tools(name: str, lines: Sequence[str], before: float) -> Sequence[Check]:
    words = [line.split(" ") for line in lines]
    missing = [word[1] for word in words if word[0] == "missing"]
    needed = [tool for tool in missing if tool not in _OPTIONAL]
    wanted = [tool for tool in missing if tool in _OPTIONAL]
    text = f"missing: {', '.join(missing)}" if missing else "all there"
    checks = [
        Check(
            what=f"{name}: tools", found=Found.PROBLEM if needed else Found.OK,
            text=f"{text}: install {'them' if len(needed) > 1 else 'it'} there" if needed else
            f"{text} (jobs may want {'them' if len(wanted) > 1 else 'it'})" if wanted else text,
        )
    ]  # fmt: skip
    checks.append(_disk(name, words))
    clock = next((float(word[1]) for word in words if word[0] == "clock" and word[1].isdecimal()), None)
    if clock is None:
        checks.append(Check(what=f"{name}: clock", found=Found.UNKNOWN, text="it did not say"))
    else:
        off = clock - before
        found = Found.OK if abs(off) <= _MOST_SKEW else Found.PROBLEM
        hint = "" if found is Found.OK else ": set it, for example with an NTP service"
        checks.append(Check(what=f"{name}: clock", found=found, text=f"{abs(off):.0f} s off{hint}"))
    return checks


def _disk(name: str, words: Sequence[Sequence[str]]) -> Check:
    what = f"{name}: disk"
    if ["readonly"] in words:
        return Check(what=what, found=Found.PROBLEM, text="the home cannot be written to")
    free = next((int(word[1]) for word in words if word[0] == "free" and word[1].isdecimal()), None)
    if free is None:
        return Check(what=what, found=Found.UNKNOWN, text="it did not say")
    if free < _LEAST_DISK:
        return Check(what=what, found=Found.PROBLEM, text=f"{free // 1024} MiB free in the home: make room")
    return Check(what=what, found=Found.OK, text=f"{free // 1024**2} GiB free in the home")
