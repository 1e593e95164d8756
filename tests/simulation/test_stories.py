"""Short stories, enumerated: at each point in turn the process dies, or sleeps while another takes over."""

import pytest

from tests.simulation.ec2_stories import EC2_STORIES
from tests.simulation.process import Process
from tests.simulation.stage import Stage
from tests.simulation.stories import STORIES, At, Story, die_with_machines, points, sleep_while_work_comes, tell

each_story = pytest.mark.parametrize("story", [*STORIES, *EC2_STORIES], ids=lambda story: story.name.replace(" ", "-"))
TAKEOVER = 50.0  # seconds after which the sleeper of a short sleep goes on, beside the one that took over


def told(story: Story, how: str, number: int, act, takeover: float | None = None) -> Stage:
    """Tell the story with one disturbance; fails with all that happened where the promise is broken."""
    scene = tell(story, At(number, act), takeover)
    if scene.world.wrongs:
        told = "\n".join(scene.world.trace)
        pytest.fail(f"{told}\n\n{story.name}, {how} at point {number}: {'; '.join(scene.world.wrongs)}")
    return scene


@each_story
def test_undisturbed(story):
    scene = told(story, "undisturbed", 0, Process.die)
    lines = iter(scene.world.trace)
    missing = [words for words in story.shows if not any(words in line for line in lines)]
    assert not missing, "\n".join((*scene.world.trace, f"{story.name} does not tell: {missing[0]}"))
    assert story.runs in (None, len(scene.world.ledger.runs)), "\n".join(scene.world.trace)


@each_story
def test_the_process_dies_after_each_call_and_another_carries_on(story):
    numbers = points(story, "after")
    assert numbers
    for number in numbers:
        told(story, "death", number, Process.die)


@each_story
def test_the_process_sleeps_before_each_call_until_another_has_finished(story):
    numbers = points(story, "before")
    assert numbers
    for number in numbers:
        told(story, "a long sleep", number, Process.pause)


@pytest.mark.parametrize("story", [STORIES[0], STORIES[2]], ids=lambda story: story.name.replace(" ", "-"))
def test_the_process_sleeps_before_each_call_and_goes_on_beside_the_one_that_took_over(story):
    for number in points(story, "before"):
        told(story, "a short sleep", number, Process.pause, TAKEOVER)


@pytest.mark.parametrize("story", STORIES[:1], ids=lambda story: story.name)
def test_the_process_sleeps_before_each_call_and_something_urgent_comes_meanwhile(story):
    for number in points(story, "before"):
        told(story, "a sleep while work comes", number, sleep_while_work_comes, TAKEOVER)


@pytest.mark.parametrize("story", [STORIES[0], STORIES[2]], ids=lambda story: story.name.replace(" ", "-"))
def test_the_process_dies_after_each_call_and_all_machines_go_with_it(story):
    for number in points(story, "after"):
        told(story, "a death, with all machines,", number, die_with_machines)
