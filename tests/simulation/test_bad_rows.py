"""No bad row stops the loop: whatever lies in one row, all others go on, and its own stays where it is."""

import asyncio

import pytest
from sqlalchemy import text

from reconciler.spec.values import Size
from tests.simulation.clock import run
from tests.simulation.stage import Stage, pool, stage
from tests.simulation.truth import Behaviour

# What lies in the row of `bad`, and at which second it came there: before it is placed, or while it runs.
ON = "SELECT instance_id FROM attempts WHERE submission_id LIKE '%0001'"
POISONS = {
    "an environment that is no JSON": (0.0, "UPDATE submissions SET env = '{' WHERE name = 'bad'"),
    "types that are no JSON": (0.0, "UPDATE submissions SET types = '[' WHERE name = 'bad'"),
    "types that are a number": (0.0, "UPDATE submissions SET types = '7' WHERE name = 'bad'"),
    "a state of a newer version": (0.0, "UPDATE submissions SET state = 'pondering' WHERE name = 'bad'"),
    "spent that is no JSON": (14.0, "UPDATE submissions SET spent = 'no' WHERE name = 'bad'"),
    "orders that are no JSON": (14.0, "UPDATE attempts SET frozen = '' WHERE submission_id LIKE '%0001'"),
    "orders of a newer version": (14.0, "UPDATE attempts SET frozen = '{\"x\": 1}' WHERE submission_id LIKE '%0001'"),
    "an outcome of a newer version": (14.0, "UPDATE attempts SET outcome = 'puzzled' WHERE submission_id LIKE '%0001'"),
    "a machine in a state of a newer version": (14.0, f"UPDATE instances SET state = 'dreaming' WHERE id IN ({ON})"),
}  # fmt: skip


async def _told(at: float, statement: str) -> Stage:
    scene = stage(asyncio.get_running_loop())
    try:
        scene.write_pool(pool(size={"small": Size(low=0, high=2)}))
        scene.write_pool(pool("other", "b"))
        scene.submit("bad", Behaviour(seconds=(9.0,)), priority=9)
        scene.submit("good")
        scene.submit("elsewhere", None, "other")
        scene.submit("later", None)

        def poison() -> None:
            with scene.store.database.writing() as connection:
                assert connection.execute(text(statement)).rowcount == 1

        scene.world.loop.call_later(at, poison)
        await asyncio.sleep(0.0)
        await scene.process().stay(200.0)
        states = {row.name: row.state for row in scene.store.submissions(named=["good", "elsewhere", "later"])}
        assert states == dict.fromkeys(("good", "elsewhere", "later"), "succeeded"), "\n".join(scene.world.trace[-60:])
        assert not scene.world.wrongs
        return scene
    finally:
        scene.close()


@pytest.mark.parametrize("poison", POISONS.values(), ids=[name.replace(" ", "-") for name in POISONS])
def test_the_others_go_on(poison):
    run(_told(*poison))
