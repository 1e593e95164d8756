"""For real: the database is deleted while jobs run. `adopt` brings back all there is, and nothing runs twice."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine

from tests.real.test_sigkill import JOBS, deployment, processes_of, reconcile

__all__ = ["deployment"]
NAMES = {f"job-{number:02}" for number in range(JOBS)}


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *words, "--config", "config.yml"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def lose(folder: Path, database_url: str) -> None:
    """Whatever the database was, nothing is left of it."""
    for file in folder.glob("reconciler.db*"):
        file.unlink()
    if database_url.startswith("postgresql"):
        engine = create_engine(database_url)
        with engine.begin() as connection:
            tables = MetaData()
            tables.reflect(connection)
            tables.drop_all(connection)
        engine.dispose()


@pytest.mark.real
@pytest.mark.timeout(240)
def test_a_lost_database_is_brought_back_from_machines_and_results(deployment: Path, database_url: str) -> None:
    for name in NAMES:  # long enough for some to run, short enough for some to be home
        script = deployment / "submissions" / name / "run.sh"
        script.write_text(script.read_text().replace("sleep 0.", "sleep 2."))
    process = reconcile(deployment, "--until-settled")
    ledger = deployment / "ledger" / "ledger"
    while not (ledger.exists() and ledger.read_text().count("end ") >= 3):
        assert process.poll() is None, (deployment / "log").read_text()[-4000:]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lose(deployment, database_url)

    adopted = command(deployment, "adopt", "--yes")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    again = command(deployment, "adopt", "--yes")
    assert (again.returncode, again.stdout) == (0, "there is nothing to bring back\n")
    last = reconcile(deployment, "--until-settled")
    try:
        assert last.wait(timeout=150) == 0, (deployment / "log").read_text()[-4000:]
    finally:
        last.kill()

    assert Counter(ledger.read_text().splitlines()) == Counter(
        {f"{word} {name}": 1 for word in ("start", "end") for name in NAMES}
    )
    for name in NAMES:
        assert (deployment / "results" / name / "1" / "out" / "result").read_text() == f"{name}\n"
    assert processes_of(deployment / ".reconciler") == []
    told = json.loads(command(deployment, "status", "--json").stdout)
    assert {row["name"]: row["state"] for row in told["submissions"]} == dict.fromkeys(NAMES, "succeeded")
