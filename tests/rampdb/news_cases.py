"""Our own rows, as news of a submission in RAMP's database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from reconciler.model.assignment import Assignment
from reconciler.model.rows import Attempt, Delivery, Submission
from reconciler.sinks.base import News
from tests.sinks.news_cases import ATTEMPT, DELIVERY, SUBMISSION

T0 = 1_760_000_000.0  # when it was handed in to us; seconds since the epoch


@frozen
class Story:
    """One submission of ours, for one of RAMP's; a second attempt is a minute after the first."""

    ramp_id: int
    at: float = T0
    ours: str = "s1"
    templates: Mapping[str, str] = {}

    def submission(self, **more: Any) -> Submission:
        values = {"id": self.ours, "source": "ramp/iris_test", "source_key": str(self.ramp_id), "created": self.at,
                  "state": "running", "reason": "", "message": ""}  # fmt: skip
        return evolve(SUBMISSION, **values | more)

    def attempt(self, number: int = 1, **more: Any) -> Attempt:
        orders = Assignment(attempt=f"{self.ours}.{number}", submission="submission_1", pool="iris", content="c",
                            workload="ramp", settings="{}", limit=7200.0, templates=self.templates, max_bytes=1,
                            max_files=1)  # fmt: skip
        opened = self.at + 60.0 * number
        values = {"id": orders.attempt, "number": number, "opened": opened, "started": opened + 2.5, "outcome": "",
                  "exit_code": None, "frozen": orders.to_json(), "peak_memory": 123.5}  # fmt: skip
        return evolve(ATTEMPT, **values | more)

    def news(self, event: str, number: int = 1, results: Path | None = None, *, late: float = 0.0, **more: Any) -> News:
        """What happened to attempt `number` (0: before there was one); `more` are the submission's fields."""
        attempt = self.attempt(number, **_closed(event, more)) if number else None
        at = self.at + (60.0 * number if number else 0.0) + late
        delivery: Delivery = evolve(DELIVERY, id=f"{self.ours}.{number}/{event}", event=event, created=at)
        return News(delivery=delivery, submission=self.submission(**more), attempt=attempt, results=results)


def _closed(event: str, submission: Mapping[str, Any]) -> dict[str, Any]:
    if event == "succeeded":
        return {"outcome": "succeeded", "exit_code": 0}
    if event == "failed":
        return {"outcome": submission["reason"], "exit_code": 1}
    return {}
