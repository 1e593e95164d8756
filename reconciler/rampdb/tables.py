"""The part of RAMP's schema that we read or write (ramp_database/model/{event,team,submission}.py, 0.10.1).

Never created, altered or dropped by us. Times are naive and UTC there.
"""

import pickle
import zlib
from collections.abc import Sequence

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from reconciler.rampdb.states import STATES

METADATA = MetaData()
_STATE = Enum(*STATES, name="submission_states", metadata=METADATA)  # PostgreSQL knows the type by this name

PROBLEMS = Table(
    "problems",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("path_ramp_kit", String),
)
EVENTS = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("problem_id", ForeignKey(PROBLEMS.c.id)),
    Column("ramp_sandbox_name", String),  # submissions of this name are the starting kit: never trained
    Column("path_ramp_submissions", String),
)
TEAMS = Table("teams", METADATA, Column("id", Integer, primary_key=True), Column("name", String))
EVENT_TEAMS = Table(
    "event_teams",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("event_id", ForeignKey(EVENTS.c.id)),
    Column("team_id", ForeignKey(TEAMS.c.id)),
)
SUBMISSIONS = Table(
    "submissions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("event_team_id", ForeignKey(EVENT_TEAMS.c.id)),
    Column("name", String),
    Column("submission_timestamp", DateTime),
    Column("sent_to_training_timestamp", DateTime),
    Column("training_timestamp", DateTime),
    Column("state", String),
    Column("queue_position", Integer),  # 1 is next; -1 waits no more
    Column("error_msg", String),
    Column("is_valid", Boolean),  # false: deleted by its user, and kept
    Column("max_ram", Float),  # MiB, which RAMP calls MB
)
FOLDS = Table(
    "submission_on_cv_folds",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("submission_id", ForeignKey(SUBMISSIONS.c.id)),
    Column("state", _STATE),
    Column("train_time", Float),  # seconds
    Column("valid_time", Float),
    Column("test_time", Float),
)
SCORE_TYPES = Table(
    "event_score_types",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String),
)
SCORES = Table(
    "submission_scores",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("submission_id", ForeignKey(SUBMISSIONS.c.id)),
    Column("event_score_type_id", ForeignKey(SCORE_TYPES.c.id)),
    Column("valid_score_cv_bag", Float),  # of all folds together
    Column("test_score_cv_bag", Float),
    Column("valid_score_cv_bags", LargeBinary),  # of the first fold, of the first two …: see `packed`
    Column("test_score_cv_bags", LargeBinary),
)
FOLD_SCORES = Table(
    "submission_score_on_cv_folds",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("submission_on_cv_fold_id", ForeignKey(FOLDS.c.id)),
    Column("submission_score_id", ForeignKey(SCORES.c.id)),
    Column("train_score", Float),
    Column("valid_score", Float),
    Column("test_score", Float),
)


def packed(values: Sequence[float]) -> bytes:
    """An array as RAMP keeps it, a compressed pickle (ramp_database/model/datatype.py), made without NumPy.

    It says `numpy.array([…])`, which every NumPy reads; a pickle of the array itself names a module that NumPy 2 moved.
    """
    plain = pickle.dumps(list(values), protocol=2)
    return zlib.compress(b"\x80\x02cnumpy\narray\n" + plain[2:-1] + b"\x85R.")
