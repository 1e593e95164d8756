"""What wakes a sleeping loop at once: an edited spec file, a new submission in the queue's folder, a command's bell."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path


async def on_change(folders: Iterable[Path], wake: Callable[[], None]) -> None:
    """Wake whenever anything below these folders changes; a folder that is missing is looked for again."""
    from watchfiles import awatch

    wanted = list(folders)
    while wanted:
        present = [folder for folder in wanted if folder.is_dir()]
        if not present:
            await asyncio.sleep(1.0)
            continue
        with contextlib.suppress(OSError):
            async for _ in awatch(*present, step=50, debounce=200, ignore_permission_denied=True):
                wake()
                if any(folder not in present and folder.is_dir() for folder in wanted):
                    break
        await asyncio.sleep(0.2)


async def on_bell(rings: AsyncIterator[None], wake: Callable[[], None]) -> None:
    """Wake whenever a command rings."""
    async for _ in rings:
        wake()
