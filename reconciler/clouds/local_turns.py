"""Who goes first on a computer that runs the jobs itself: what starts the next job, before what brings results home."""

import asyncio
from types import TracebackType

PATIENCE = 1.0  # seconds that results wait for jobs to start; then they come home all the same


class Turns:
    """Both turns of one computer; each is entered by many, again and again."""

    def __init__(self, *, starts: int, collections: int) -> None:
        """So many jobs are started, and so many results brought home, at a time."""
        self.starting = Starting(starts)
        self.gently = Gently(collections, self.starting)


class Starting:
    """More at once would only end later, all of them."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._wanted = 0
        self.nobody = asyncio.Event()
        self.nobody.set()

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        self._wanted += 1
        self.nobody.clear()
        try:
            await self._slots.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one start, or what waited for nobody to."""
        self._slots.release()
        self._leave()

    def _leave(self) -> None:
        self._wanted -= 1
        if not self._wanted:
            self.nobody.set()


class Gently:
    """Waits for those who start."""

    def __init__(self, at_once: int, starting: Starting) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._starting = starting

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        await self._slots.acquire()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._starting.nobody.wait()
        except TimeoutError:
            return
        except BaseException:
            self._slots.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one."""
        self._slots.release()
