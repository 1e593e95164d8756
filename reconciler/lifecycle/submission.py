"""A submission's life: from the queue through an attempt on an instance to an end that nothing leaves.

A submission has at most one open attempt. It is opened by `place` and closed, on evidence alone, by `collected`,
`killed`, `machine_gone`, or `overdue` in collecting.
"""

from attrs import define

from reconciler.lifecycle.table import Edge, Ignored, Kind, Lifecycle, State, edges


@define
class SubmissionFacts:
    """What the guards ask. `state` is written by the machine that the table drives."""

    state: str
    worked: bool = False  # the workload says that this attempt is a success
    cancel_wanted: bool = False  # somebody asked for it to be cancelled
    may_retry: bool = False  # the budget for this outcome lasts


STATES = (
    State("queued", Kind.RESTING, "waits for a slot; not_before holds it back after a failure"),
    State("staging", Kind.INTENT, "placed on an instance; its effect uploads and starts, as one whole", "stage"),
    State("running", Kind.WAITING, "the agent reported it; the host enforces its time limit", "run"),
    State("collecting", Kind.INTENT, "over, or stopped; its effect brings home what is there", "collect"),
    State("cancelling", Kind.INTENT, "its effect ends every process of it", "cancel"),
    State("succeeded", Kind.FINAL, "the workload says so, and its results are home"),
    State("failed", Kind.FINAL, "it will not be tried again; the reason says why"),
    State("cancelled", Kind.FINAL, "somebody asked, or a newer one took its place"),
)


def _closing(sources: str, event: str, when: str) -> tuple[Edge, ...]:
    """An attempt closes without a success: what was asked for comes first, then the budget, then failure."""
    return (
        *edges(sources, event, "cancelled", f"{when}, and it was to be cancelled", "cancel_wanted"),
        *edges(sources, event, "queued", f"{when}, and the budget for that outcome lasts", "may_retry"),
        *edges(sources, event, "failed", f"{when}, and it is not tried again"),
    )


SUBMISSION = Lifecycle(
    name="submission",
    initial="queued",
    states=STATES,
    edges=(
        # A ready instance has a free slot: the attempt is opened in the same transaction.
        Edge("queued", "place", "staging", "a ready instance has a free slot"),
        # Nothing of it ran yet, so nothing need be undone.
        Edge("queued", "cancel", "cancelled", "somebody asked before it was placed"),
        Edge("queued", "supersede", "cancelled", "its folder changed: a newer submission takes its place"),
        Edge("queued", "withdraw", "cancelled", "its folder is gone in two good readings of the queue"),
        Edge("queued", "reject", "failed", "what was submitted can never run: a link that leads out, a bad file"),
        # The agent knows the job. A later report carries the same news if this answer is lost.
        Edge("staging", "started", "running", "the agent reported it starting or running"),
        # A short job is over before anybody saw it run.
        *edges("staging, running", "over", "collecting", "the agent reported it exited, killed or gone"),
        # The machine will be taken away: stop it while there is time to bring home what is there.
        *edges("staging, running", "notice", "collecting", "the cloud announced that it takes the machine back"),
        # It ran here and the host no longer knows it; collecting closes its folder before the attempt closes.
        Edge("running", "missing", "collecting", "a report taken since does not know the job"),
        # Collecting kills first, so an overdue job cannot go on beside its next attempt.
        Edge("staging", "overdue", "collecting", "it could not be started in time"),
        Edge("running", "overdue", "collecting", "its host did not end it at its time limit"),
        *edges("staging, running", "cancel", "cancelling", "somebody asked while it was on a machine"),
        # The results are home, checked and synced.
        Edge("collecting", "collected", "succeeded", "results are home and the workload says that it worked", "worked"),
        *_closing("collecting", "collected", "what is there is home"),
        # No process of it can be left.
        *_closing("staging, running, collecting", "machine_gone", "the cloud says its machine is stopped or gone"),
        Edge("cancelling", "machine_gone", "cancelled", "the cloud says its machine is stopped or gone"),
        # The host answers and yet nothing comes home: the job is ended, so the attempt may close.
        *_closing("collecting", "overdue", "results could not be brought home in time"),
        Edge("cancelling", "killed", "cancelled", "the agent says that no process of it is left"),
    ),
    ignored=(
        Ignored("queued", ("started", "over", "notice", "missing", "machine_gone", "collected", "killed"), "none open"),
        Ignored("queued", ("overdue",), "it may wait for ever"),
        Ignored(
            "staging, running, collecting, cancelling",
            ("place", "supersede", "withdraw", "reject"),
            "only what is queued can be placed, replaced or withdrawn; a running one goes on",
        ),
        Ignored("staging", ("missing",), "the start may not have arrived yet"),
        Ignored("staging, running", ("collected", "killed"), "an answer from before; nothing was asked"),
        Ignored("running, collecting, cancelling", ("started",), "known already"),
        Ignored("collecting", ("over", "notice", "missing", "killed"), "it is being brought home whatever it says"),
        Ignored("collecting", ("cancel",), "it is over; the wish is kept and stops the next attempt"),
        Ignored("cancelling", ("over", "notice", "missing", "collected", "cancel"), "it is being ended anyway"),
        Ignored("cancelling", ("overdue",), "its instance is ended as unreachable, and that ends it"),
        Ignored(
            "succeeded, failed, cancelled",
            ("place", "cancel", "supersede", "withdraw", "reject", "started", "over", "notice", "missing", "overdue",
             "collected", "killed", "machine_gone"),
            "final; `retry` makes a new submission",
        ),
    ),
)  # fmt: skip
