"""Long stories by seed. RECONCILER_SEEDS=1000 tells more of them; --seed tells one, and --tell prints all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.seeded import told

SEEDS = int(os.environ.get("RECONCILER_SEEDS", "16"))
HERE = "tests/simulation/test_seeds.py"
LAST = 40  # lines of a failing story that are printed without --tell


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed", default=None)
        metafunc.parametrize("seed", range(SEEDS) if one is None else [one])


def test_whatever_goes_wrong_the_promise_is_kept(seed, request):
    scene = told(seed)
    if request.config.getoption("--tell", default=False):
        print("\n".join(scene.world.trace))
    if scene.world.wrongs:
        last = "\n".join(scene.world.trace[-LAST:])
        pytest.fail(f"{last}\n\n{'; '.join(scene.world.wrongs)}\n\nto see it again: pytest {HERE} --seed {seed} --tell")
    assert len(scene.world.ledger.runs) >= 1, "nothing ever ran: this seed proves nothing"


@pytest.mark.parametrize("number", [7, 11])
def test_a_seed_always_tells_the_same_story(number):
    program = f"from tests.simulation.seeded import told; print(*told({number}).world.trace, sep='\\n')"
    told_twice = {
        subprocess.run(
            [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": chance},
        ).stdout
        for chance in ("1", "2")
    }  # fmt: skip
    assert len(told_twice) == 1
