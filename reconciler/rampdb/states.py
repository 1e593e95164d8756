"""What a piece of our news means for a submission in RAMP's database. Pure.

News comes at least once and in any order, and RAMP's row has no place for an attempt of ours. What RAMP does have is
`sent_to_training_timestamp`: it holds the moment at which the attempt that wrote last was placed, to the microsecond.
So an older attempt is known by an earlier moment, and within one attempt states only go forward. A row that is `new`
under an attempt's own moment was reset after that attempt had written: what it still has to tell is not wanted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from attrs import frozen

NEW, SENT, TRAINING, TESTED, SCORED = "new", "sent_to_training", "training", "tested", "scored"
TRAINING_ERROR, CHECKING_ERROR = "training_error", "checking_error"

# How far along each state is, in RAMP's order (ramp_database/model/submission.py, submission_states).
STATES: Mapping[str, int] = MappingProxyType(
    {
        NEW: 0,
        "checked": 0,
        CHECKING_ERROR: 4,
        "trained": 3,
        TRAINING_ERROR: 4,
        "validated": 3,
        "validating_error": 4,
        TESTED: 3,
        "testing_error": 4,
        TRAINING: 2,
        SENT: 1,
        SCORED: 4,
    }
)
_OVER = 4


@frozen(kw_only=True)
class Standing:
    """Where a submission stands in RAMP's database."""

    state: str
    sent: datetime | None  # naive, UTC
    position: int


@frozen(kw_only=True)
class Tidings:
    """One piece of news, as far as RAMP's states can tell it."""

    state: str  # the state that it brings
    moment: datetime  # when its attempt was placed; without an attempt, when it happened. Naive, UTC
    started: datetime | None = None  # when its job started
    again: bool = False  # somebody wants an ended one run once more


def wanted(standing: Standing, tidings: Tidings) -> bool:
    """Whether the news is to be written. The same news twice is: it may have been cut short the first time."""
    if tidings.state == NEW:
        return _back(standing, tidings)
    if standing.sent is None or tidings.moment > standing.sent:
        return True
    if tidings.moment < standing.sent or standing.state == NEW:
        return False
    return STATES[tidings.state] >= STATES.get(standing.state, 0)


def _back(standing: Standing, tidings: Tidings) -> bool:
    """Whether it goes back to `new`: an attempt that is tried again, or an ended one that is run once more."""
    over = STATES.get(standing.state, 0) == _OVER
    if tidings.again:
        return over and (standing.sent is None or tidings.moment > standing.sent)
    return not over and standing.state != NEW and (standing.sent is None or tidings.moment >= standing.sent)


def as_time(seconds: float) -> datetime:
    """Seconds since the epoch as RAMP keeps times."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
