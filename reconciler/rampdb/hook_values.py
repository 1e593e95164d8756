"""What RAMP's hooks are told beside what ours are: read when one runs, so that no row of ours holds it."""

from collections.abc import Mapping

from reconciler.model.printable import printable
from reconciler.model.rows import Submission
from reconciler.rampdb.access import Ramp, basename

_LONGEST = 1000  # characters of a value


def hook_values(ramps: Mapping[str, Ramp], submission: Submission) -> Mapping[str, str]:
    """RAMP's own variables, for one of RAMP's submissions; nothing for any other. Blocks. Raises StoreError.

    `ramps` are the databases by the names of their queues. One that was deleted there has its id and its folder alone.
    """
    ramp = ramps.get(submission.source)
    if ramp is None:
        return {}
    number = int(submission.source_key)
    with ramp.reading() as connection:
        event = ramp.row(connection)
        row = next((each for each in ramp.submissions(connection, event) if each.id == number), None)
    values = {
        "RAMP_AWS_SUBMISSION_ID": str(number),
        "RAMP_AWS_SUBMISSION_NAME": row.name if row else "",
        "RAMP_AWS_EVENT": ramp.event,
        "RAMP_AWS_TEAM": row.team if row else "",
        "RAMP_AWS_SUBMISSION_FOLDER": str(event.submissions / basename(number)),
    }
    return {name: printable(value, _LONGEST) for name, value in values.items()}
