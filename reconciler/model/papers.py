"""What travels with an attempt, and stays with its results: enough to write its rows again if the database is lost."""

import json

from attrs import asdict, frozen

from reconciler.model.rows import Attempt, Submission


@frozen(kw_only=True)
class Papers:
    """An attempt and its submission, as they were when the papers were made."""

    submission: Submission
    attempt: Attempt

    def to_json(self) -> str:
        """Canonical text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Papers":
        """The value that `to_json` wrote. Raises ValueError for anything else, also of another version."""
        try:
            fields = json.loads(text)
            return cls(submission=Submission(**fields["submission"]), attempt=Attempt(**fields["attempt"]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"these are no papers of an attempt: {error}") from error
