"""What an attempt was asked to do, frozen when it was placed: a later edit of the pool changes nothing for it."""

import json
from collections.abc import Mapping

from attrs import asdict, field, frozen


@frozen(kw_only=True)
class Assignment:
    """One attempt's frozen orders."""

    attempt: str
    submission: str  # its name
    pool: str
    content: str  # its folder in the store by content
    workload: str  # the registry's name
    settings: str  # the workload's own settings, canonical JSON
    limit: float  # seconds
    env: Mapping[str, str] = field(factory=dict)  # the submission's own, over the pool's
    templates: Mapping[str, str] = field(factory=dict)  # the pool's, with ${NAME} where a value may be secret
    max_bytes: int
    max_files: int

    def to_json(self) -> str:
        """Canonical text, for the attempt's row."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Assignment":
        """The value that `to_json` wrote."""
        return cls(**json.loads(text))
