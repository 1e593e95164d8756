"""Whose a machine is that was never bought: the file ~/.reconciler/owner on it, which appears and goes as a whole.

A claim is one line of words without spaces: controller, database id, pool, token, index, type, spec hash, born (seconds
since the epoch, UTC), and the rest of what a listing tells, as base64 of JSON. Whoever links the file first has the
machine. One that is in use by another way in, which the agent's own file ~/.reconciler/claim says, is left alone. What
was let go of is kept as the last hundred lines of ~/.reconciler/released, so that it can be said of a machine that was
ours that it no longer is.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attrs import field, frozen

from reconciler.hosts.base import HostRefusedError, UnreachableError
from reconciler.hosts.transport import Transport
from reconciler.model.offer import LaunchRequest, Machine, MachineState
from reconciler.model.tags import CONTROLLER, DATABASE, POOL, SPEC

PATIENCE = 10.0  # seconds in which a machine must have said whose it is
_WORD = re.compile(r"[!-~]+")
_NONE = "-"  # a word that stands for an empty one

# Values come in as arguments; none of these texts is ever built from one.
_SCAN = """
root=$HOME/.reconciler
if [ -e "$root/owner" ]; then
    line=
    IFS= read -r line <"$root/owner"
    printf 'owner %s\\n' "$line"
fi
if [ -e "$root/claim" ]; then echo 'owner another'; fi
for wanted; do
    [ -f "$root/released" ] || continue
    while read -r controller database pool token rest; do
        [ "$token" = "$wanted" ] || continue
        printf 'released %s\\n' "$controller $database $pool $token $rest"
    done <"$root/released"
done
echo end
"""
_CLAIM = """
root=$HOME/.reconciler
mkdir -p "$root" && chmod 700 "$root" && printf '%s\\n' "$1" >"$root/owner.$$" || exit 4
ln "$root/owner.$$" "$root/owner" 2>/dev/null
rm -f "$root/owner.$$"
IFS= read -r line <"$root/owner" || exit 4
printf 'owner %s\\nend\\n' "$line"
"""
# The tombstone comes first: a machine of which both are found is still ours. Taken away under a name of its own, the
# file is looked at once more: somebody may have let go of it, and another have claimed it, since the first look.
_RELEASE = """
root=$HOME/.reconciler
ours() { read -r controller database pool token index rest <"$1" && [ "$token $index" = "$2 $3" ]; }
ours "$root/owner" "$1" "$2" 2>/dev/null || exit 0
{ tail -n 99 "$root/released" 2>/dev/null; cat "$root/owner"; } >"$root/released.$$" || exit 4
mv -f "$root/released.$$" "$root/released" || exit 4
mv "$root/owner" "$root/owner.$$" 2>/dev/null || exit 0
ours "$root/owner.$$" "$1" "$2" || ln "$root/owner.$$" "$root/owner"
rm -f "$root/owner.$$"
"""


@frozen(kw_only=True)
class Claim:
    """What an owner file says."""

    controller: str
    database_id: str
    pool: str
    token: str
    index: int
    type: str
    spec: str
    born: float  # seconds since the epoch, UTC
    digest: str = ""  # of the request: another one with this token is refused
    tags: Mapping[str, str] = field(factory=dict)

    def same_launch(self, other: "Claim") -> bool:
        """Whether both were made for one launch."""
        ours = (self.controller, self.database_id, self.token, self.digest)
        return ours == (other.controller, other.database_id, other.token, other.digest)

    def line(self) -> str:
        """As one line. Raises ValueError for a word that cannot be one."""
        about = json.dumps({"digest": self.digest, "tags": dict(self.tags)}, sort_keys=True, separators=(",", ":"))
        words = (
            self.controller, self.database_id, self.pool or _NONE, self.token, str(self.index), self.type,
            self.spec or _NONE, f"{self.born:.3f}", base64.urlsafe_b64encode(about.encode()).decode(),
        )  # fmt: skip
        for word in words:
            if not _WORD.fullmatch(word):
                raise ValueError(f"{word!r} is no word without spaces")
        return " ".join(words)

    @classmethod
    def parse(cls, line: str) -> "Claim":
        """The claim that a line makes. Raises ValueError."""
        controller, database, pool, token, index, type_, spec, born, about, *_ = [*line.split(" "), ""]
        told = json.loads(base64.urlsafe_b64decode(about)) if about else {}
        return cls(
            controller=controller, database_id=database, pool=pool.removeprefix(_NONE), token=token, index=int(index),
            type=type_, spec=spec.removeprefix(_NONE), born=float(born), digest=str(told.get("digest", "")),
            tags={str(key): str(value) for key, value in told.get("tags", {}).items()},
        )  # fmt: skip

    def machine(self, address: str, name: str, state: MachineState) -> Machine:
        """As its cloud describes it; `name` tells the machine, and one claim of it from the next."""
        return Machine(
            cloud_id=f"{name}/{self.token}.{self.index}", token=self.token, index=self.index, state=state,
            type=self.type, address=address, born=datetime.fromtimestamp(self.born, UTC),
            tags=self.tags or {CONTROLLER: self.controller, DATABASE: self.database_id},
        )  # fmt: skip


@frozen(kw_only=True)
class Owned:
    """What a machine says of itself."""

    claim: Claim | None = None  # whose it is
    foreign: bool = False  # it is somebody's, in words that are not ours
    released: tuple[Claim, ...] = ()  # what it was, as far as was asked

    @property
    def free(self) -> bool:
        """Whether it is nobody's."""
        return self.claim is None and not self.foreign


def claim_of(request: LaunchRequest, index: int, born: float) -> Claim:
    """The claim that a launch makes on its machine number `index`."""
    return Claim(
        controller=request.tags[CONTROLLER], database_id=request.tags[DATABASE], pool=request.tags.get(POOL, ""),
        token=request.token, index=index, type=request.offer.type, spec=request.tags.get(SPEC, ""), born=born,
        digest=hashlib.sha256(request.to_json().encode()).hexdigest()[:16], tags=request.tags,
    )  # fmt: skip


async def scan(transport: Transport, tokens: Sequence[str] = ()) -> Owned:
    """Whose the machine is, and what it was under these tokens. Raises UnreachableError or HostRefusedError."""
    return _parsed(await _said(transport, _SCAN, *tokens))


async def claim(transport: Transport, wanted: Claim) -> Owned:
    """Make the machine ours, unless it is somebody's; says whose it is now."""
    return _parsed(await _said(transport, _CLAIM, wanted.line()))


async def release(transport: Transport, token: str, index: int) -> None:
    """Let go of the machine, where this is the claim on it."""
    await _said(transport, _RELEASE, token, str(index))


async def _said(transport: Transport, script: str, *words: str) -> str:
    result = await transport.run(("sh", "-c", script, "owner", *words), timeout=PATIENCE)
    if result.code:
        why = result.stderr.decode(errors="replace").strip().splitlines()
        raise HostRefusedError(f"~/.reconciler cannot be written: {why[-1][:300] if why else 'it gave no reason'}")
    return result.stdout.decode(errors="replace")


def _parsed(text: str) -> Owned:
    lines = text.split("\n")
    if lines[-2:] != ["end", ""]:
        raise UnreachableError(f"the machine's answer makes no sense: {text[:200]!r}")
    found, foreign, released = None, False, []
    for line in lines[:-2]:
        kind, _, words = line.partition(" ")
        try:
            said = Claim.parse(words)
        except (ValueError, TypeError, AttributeError, OverflowError):
            foreign = foreign or kind == "owner"
            continue
        if kind == "owner" and not foreign:
            found = said
        elif kind == "owner":
            continue
        else:
            released.append(said)
    return Owned(claim=found, foreign=foreign, released=tuple(released))
