"""A delivery's life: telling one sink of one event of one attempt, until it took it or its deadline passed."""

from attrs import define

from reconciler.lifecycle.table import Edge, Ignored, Kind, Lifecycle, State


@define
class DeliveryFacts:
    """No guard asks anything of a delivery. `state` is written by the machine that the table drives."""

    state: str


DELIVERY = Lifecycle(
    name="delivery",
    initial="pending",
    states=(
        State("pending", Kind.INTENT, "its effect tells the sink; not_before holds it back after a failure", "deliver"),
        State("delivered", Kind.FINAL, "the sink took it"),
        State("given up", Kind.RESTING, "its deadline passed; `retry --deliveries` tries again"),
    ),
    edges=(
        Edge("pending", "delivered", "delivered", "the sink took it"),
        Edge("pending", "overdue", "given up", "the sink did not take it within its deadline"),
        Edge("given up", "retry", "pending", "somebody asked to try again"),
        Edge("given up", "delivered", "delivered", "an answer that came after the deadline"),
    ),
    ignored=(
        Ignored("pending", ("retry",), "it is being tried"),
        Ignored("given up", ("overdue",), "known already"),
        Ignored("delivered", ("delivered", "overdue", "retry"), "final"),
    ),
)
