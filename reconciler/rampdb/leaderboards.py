"""Leaderboards, made by RAMP's own tool in a process of its own.

They are HTML that RAMP keeps in its database, made by pandas from all scores of an event; making them runs the kit's
problem.py. So this file is also a program: it reads what to do from its input, where a password shows in no list.
"""

import asyncio
import importlib.util
import json
import logging
import sys
import warnings

from attrs import define, field

from reconciler.model.printable import printable

LIMIT = 600.0  # seconds
_PACKAGES = ("ramp_database", "ramp_utils")

log = logging.getLogger(__name__)


def what_is_missing() -> str:
    """What has to be installed here before there are leaderboards; empty where nothing has."""
    if all(importlib.util.find_spec(name) for name in _PACKAGES):
        return ""
    return "they need RAMP's own tool: pip install 'ec2-reconciler[ramp]', and the kit's requirements"


@define
class Leaderboards:
    """Those of one event. Made one at a time; what cannot be made is said once, and made with the next news."""

    url: str
    event: str
    python: str = sys.executable  # where ramp-database and the kit's requirements are installed
    _turn: asyncio.Lock = field(init=False, factory=asyncio.Lock)
    _behind: bool = field(init=False, default=False)  # the last full update failed
    _said: str = field(init=False, default="")

    async def update(self, *, new_only: bool) -> None:
        """Make all anew, or that of waiting submissions alone. Scores are safe without them, so nothing raises."""
        async with self._turn:
            new_only = new_only and not self._behind
            problem = await self._run(new_only=new_only)
            self._behind = bool(problem) and (self._behind or not new_only)
            if problem and problem != self._said:
                log.warning("leaderboards of %s: %s", self.event, problem)
            self._said = problem

    async def _run(self, *, new_only: bool) -> str:
        """What went wrong; empty when nothing did."""
        if self.python == sys.executable and (missing := what_is_missing()):
            return missing
        asked = json.dumps({"url": self.url, "event": self.event, "new_only": new_only}).encode()
        try:
            process = await asyncio.create_subprocess_exec(
                self.python, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"{self.python} cannot be run: {error.strerror}"
        try:
            _, words = await asyncio.wait_for(process.communicate(asked), LIMIT)
        except TimeoutError:
            return f"RAMP's tool took longer than {LIMIT:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        lines = words.decode("utf-8", "replace").strip().splitlines()
        return "" if process.returncode == 0 else f"RAMP's tool failed: {printable(lines[-1]) if lines else 'no word'}"


def _make(url: str, event: str, *, new_only: bool) -> None:
    """As ramp_engine/dispatcher.py does after it has written scores (update_database_results)."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.orm import Session

    parsed = make_url(url)
    waits = {"timeout": 60} if parsed.get_backend_name() == "sqlite" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # RAMP is older than the packages that it runs on
        from ramp_database.tools.leaderboard import update_all_user_leaderboards, update_leaderboards

        engine = create_engine(parsed, connect_args=waits)
        with Session(engine) as session:
            update_leaderboards(session, event, new_only=new_only)
            update_all_user_leaderboards(session, event, new_only=new_only)
    engine.dispose()


def main() -> int:
    """Make the leaderboards that the input names; exit 1 with the reason as the last line."""
    asked = json.load(sys.stdin)
    try:
        _make(asked["url"], asked["event"], new_only=asked["new_only"])
    except Exception as error:  # a kit's problem.py may raise anything
        password = asked["url"].rpartition("@")[0].rpartition(":")[2]
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        sys.stderr.write((words.replace(password, "***") if len(password) > 3 else words) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
