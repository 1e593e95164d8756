"""Sinks: where news and results go. Each is one file behind the Protocol in base.py.

A new one is its file, a line in `build`, and its name in spec/sinks.py, which says what it is told of.
"""

from collections.abc import Callable, Mapping

from reconciler.model.rows import Submission
from reconciler.sinks.base import Sink
from reconciler.sinks.hooks import HookSink
from reconciler.sinks.scores import Rows, ScoresSink
from reconciler.spec.sinks import SCORES, hook_name
from reconciler.spec.values import Config


def build(
    config: Config, *, rows: Rows, environ: Mapping[str, str], more: Callable[[Submission], Mapping[str, str]]
) -> Mapping[str, Sink]:
    """Every sink of config.yml. `rows` reads a pool's submissions; hooks inherit `environ`, and are told `more`."""
    hooks = {
        hook_name(event, index): HookSink(
            hook,
            logs=config.state / "hooks",
            folder=config.source.parent,
            controller=config.controller,
            environ=environ,
            more=more,
        )
        for event, each in config.hooks.items()
        for index, hook in enumerate(each)
    }
    return {SCORES: ScoresSink(config.results, rows), **hooks}
