"""The command on a terminal, with somebody who types."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

PATIENCE = 60.0  # seconds


def typed(here: Path, words: list[str], answer: str) -> tuple[int, str]:
    """Run the command on a terminal of its own, type an answer and Enter; its status, and all that was shown."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", *words], cwd=here, env=environment, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    os.write(master, answer.encode() + b"\n")
    shown = b""
    try:
        while True:
            ready, _, _ = select.select([master], [], [], PATIENCE)
            piece = os.read(master, 65536) if ready else b""
            if not piece:
                break
            shown += piece
    except OSError:  # the last process has closed it
        pass
    finally:
        os.close(master)
    return process.wait(PATIENCE), shown.decode(errors="replace").replace("\r\n", "\n")
