"""Which news is written over what stands in RAMP's row: late, doubled and foreign news changes nothing."""

from datetime import datetime, timedelta

import pytest

from reconciler.rampdb.states import STATES, Standing, Tidings, wanted

NOON = datetime(2026, 11, 21, 12)  # as RAMP keeps times
MINUTE = timedelta(minutes=1)


def stands(state: str, sent: datetime | None = NOON) -> Standing:
    return Standing(state=state, sent=sent, position=-1)


def brings(state: str, moment: datetime = NOON, *, again: bool = False) -> Tidings:
    return Tidings(state=state, moment=moment, again=again)


def test_the_states_are_those_of_ramp() -> None:
    from tests.rampdb.site import ramp

    with ramp():
        from ramp_database.tools.submission import STATES as THEIRS
    assert set(STATES) == set(THEIRS)


@pytest.mark.parametrize("state", [state for state in STATES if state != "new"])
@pytest.mark.parametrize("before", STATES)
def test_a_later_attempt_writes_over_everything_and_an_earlier_one_over_nothing(state: str, before: str) -> None:
    assert wanted(stands(before), brings(state, NOON + MINUTE))
    assert not wanted(stands(before), brings(state, NOON - MINUTE))
    assert wanted(stands(before, None), brings(state))


@pytest.mark.parametrize(
    ("before", "state", "expected"),
    [
        ("sent_to_training", "sent_to_training", True),  # the same twice: it may have been cut short
        ("sent_to_training", "training", True),
        ("training", "tested", True),
        ("training", "scored", True),
        ("training", "training_error", True),
        ("scored", "scored", True),
        ("training", "sent_to_training", False),
        ("scored", "training", False),
        ("checking_error", "tested", False),
        ("new", "scored", False),  # reset since: what this attempt has to tell is not wanted
    ],
)
def test_within_an_attempt_states_go_forward(before: str, state: str, expected: bool) -> None:
    assert wanted(stands(before), brings(state)) is expected


@pytest.mark.parametrize(
    ("before", "moment", "expected"),
    [
        ("training", NOON, True),
        ("sent_to_training", NOON + MINUTE, True),
        ("new", NOON, False),
        ("training", NOON - MINUTE, False),
        ("scored", NOON, False),
    ],
)
def test_an_attempt_that_is_tried_again_goes_back_to_new(before: str, moment: datetime, expected: bool) -> None:
    assert wanted(stands(before), brings("new", moment)) is expected


@pytest.mark.parametrize(
    ("before", "moment", "expected"),
    [
        ("training_error", NOON + MINUTE, True),
        ("training_error", NOON - MINUTE, False),
        ("training", NOON + MINUTE, False),
        ("new", NOON + MINUTE, False),
    ],
)
def test_an_ended_one_that_is_run_once_more_is_new(before: str, moment: datetime, expected: bool) -> None:
    assert wanted(stands(before), brings("new", moment, again=True)) is expected
