"""An instance's life: from a committed intent to buy it to the cloud's word that it is gone.

Busy and idle are derived from open attempts, not stored. Reasons for an end lie beside the state.
"""

from attrs import define

from reconciler.lifecycle.table import Edge, Ignored, Kind, Lifecycle, State, edges

BY_USER = "user"  # the reason of an instance that the user wants ended now, whoever bought it
USER_STOP = "stopped by user"  # the reason of one that stays stopped until the user starts it


@define
class InstanceFacts:
    """What the guards ask. `state` is written by the machine that the table drives."""

    state: str
    stop_first: bool = False  # the pool keeps idle machines stopped, and this one may be
    may_return: bool = True  # it drains for a reason that can lapse


STATES = (
    State("launching", Kind.INTENT, "its launch is committed; its effect sends the token", "launch"),
    State("booting", Kind.WAITING, "the cloud knows it; its host has not answered yet", "boot"),
    State("preparing", Kind.INTENT, "its effect brings agent and files and starts the setup", "setup"),
    State("ready", Kind.RESTING, "takes work"),
    State("draining", Kind.WAITING, "takes no new work; ends when nothing is on it", "drain"),
    State("stopping", Kind.INTENT, "its effect stops it, keeping its disk", "stop"),
    State("stopped", Kind.RESTING, "kept for a faster start"),
    State("starting", Kind.INTENT, "its effect starts it again", "start"),
    State("terminating", Kind.INTENT, "its effect ends it", "terminate"),
    State("terminated", Kind.FINAL, "the cloud says that it is gone"),
    State("failed", Kind.FINAL, "nothing was ever bought"),
)

LIVE = "booting, preparing, ready, draining, stopping, stopped, starting, terminating"
HOSTED = ("booting", "preparing", "ready", "draining")  # states in which its host is asked for reports
OFF = ("stopped", "terminated", "failed")  # states in which no process can be left on it

INSTANCE = Lifecycle(
    name="instance",
    initial="launching",
    states=STATES,
    edges=(
        # (token, index) is found in an answer or a listing.
        Edge("launching", "bound", "booting", "the cloud has a machine for this token and index"),
        Edge("launching", "unfilled", "failed", "the answer left this row empty; another token replaces it"),
        Edge("launching", "refused", "failed", "the cloud refused the whole launch"),
        # The token may have been sent by somebody: it is looked for before the row may end.
        Edge("launching", "overdue", "terminating", "no answer within the launch deadline: found by token, then ended"),
        Edge("launching", "drain", "terminating", "no longer wanted: found by token, then ended"),
        Edge("launching", "end", "terminating", "no longer wanted: found by token, then ended"),
        # A row that is no longer wanted is bound first, then terminated.
        Edge("terminating", "bound", "terminating", "the machine of a row that is no longer wanted was found"),
        Edge("terminating", "absent", "failed", "a complete listing past the grace knows no machine of this token"),
        Edge("booting", "located", "booting", "the cloud tells where its host answers, some time after it was bought"),
        Edge("booting", "answered", "preparing", "its host answered for the first time on this boot"),
        Edge("booting", "overdue", "terminating", "its host did not answer within the boot deadline"),
        Edge("preparing", "prepared", "ready", "the agent reported that the setup exited with 0"),
        Edge("preparing", "setup_failed", "terminating", "the agent reported that the setup failed"),
        Edge("preparing", "overdue", "terminating", "the setup did not end within its deadline"),
        # Elapsed time and a count of failed probes, both reset by one success.
        *edges("preparing, ready, draining", "unreachable", "terminating", "its host stayed silent too long"),
        # The boot id is bound anew; jobs of the other boot are reported gone.
        Edge("ready", "rebooted", "ready", "its host answers on another boot; what was set up is on its disk"),
        Edge("draining", "rebooted", "draining", "its host answers on another boot"),
        Edge("preparing", "rebooted", "preparing", "its host answers on another boot; a cut-off setup is gone"),
        # No new work; what runs may end.
        Edge("ready", "drain", "draining", "drift, a smaller size, a deleted pool, or the user"),
        *edges("booting, preparing, stopped, starting", "drain", "terminating", "nothing is on it: drained at once"),
        Edge("draining", "keep", "ready", "the reason for draining lapsed", "may_return"),
        Edge("draining", "drained", "stopping", "nothing is on it and it may be kept stopped", "stop_first"),
        Edge("draining", "drained", "terminating", "nothing is on it"),
        Edge("draining", "overdue", "terminating", "what is on it should have ended and come home long ago"),
        Edge("ready", "idle", "stopping", "no work for the pool's idle time and it may be kept stopped", "stop_first"),
        Edge("ready", "idle", "terminating", "no work for the pool's idle time"),
        Edge("stopped", "idle", "terminating", "stopped for the pool's idle time"),
        # The cloud takes it back. It never returns to ready.
        *edges("ready, draining", "notice", "draining", "the cloud announced that it takes the machine back"),
        *edges("booting, preparing", "notice", "terminating", "the cloud takes it back before it did any work"),
        *edges("booting, preparing, ready, draining, stopping", "seen_stopped", "stopped",
               "the cloud says that it is stopped"),
        Edge("stopping", "overdue", "terminating", "it did not stop in time"),
        Edge("stopped", "start", "starting", "work waits and a stopped machine starts faster than a new one"),
        *edges("stopped, starting", "seen_running", "booting", "the cloud says that it runs; its host must answer"),
        Edge("starting", "refused", "stopped", "the cloud has no capacity for it now"),
        Edge("starting", "overdue", "terminating", "it did not start in time"),
        *edges("booting, preparing, ready, draining, stopping, stopped, starting", "end", "terminating",
               "the user, or its pool, wants it ended now"),
        *edges(LIVE, "gone", "terminated", "the cloud says terminated, or does not know it past the grace"),
    ),
    ignored=(
        Ignored("launching, preparing, ready, draining, stopping, stopped, starting, terminating, terminated, failed",
                ("located",), "it matters while its host has not answered; a start tells it anew"),
        Ignored("launching", ("answered", "prepared", "setup_failed", "unreachable", "rebooted", "drained", "idle",
                              "notice", "seen_stopped", "seen_running", "start", "keep"), "there is no machine yet"),
        Ignored("launching", ("gone", "absent"), "not found yet: the launch may still be on its way"),
        Ignored("booting, preparing, ready, draining, stopping, stopped, starting", ("bound", "absent", "unfilled"),
                "it is bound already, and asked for by its own id"),
        Ignored("booting, preparing, ready, draining, stopping, stopped", ("refused",), "an answer from before"),
        Ignored("booting", ("prepared", "setup_failed", "rebooted", "idle", "drained", "keep", "start",
                            "seen_running"), "its host has not answered yet"),
        Ignored("booting", ("unreachable",), "silence is what booting means; the boot deadline counts"),
        Ignored("preparing", ("answered", "idle", "drained", "keep", "start", "seen_running"), "it is being prepared"),
        Ignored("ready", ("answered", "prepared", "setup_failed", "drained", "keep", "start", "seen_running"),
                "it is ready already"),
        Ignored("ready, stopped", ("overdue",), "it may stay for ever; idle decides"),
        Ignored("draining", ("answered", "prepared", "setup_failed", "drain", "idle", "start", "seen_running"),
                "it drains already"),
        Ignored("stopping", ("answered", "prepared", "setup_failed", "unreachable", "rebooted", "drain", "drained",
                             "idle", "keep", "notice", "start", "seen_running"), "it is being stopped first"),
        Ignored("stopped", ("answered", "prepared", "setup_failed", "unreachable", "rebooted", "drained", "keep",
                            "notice", "seen_stopped"), "nothing runs on it"),
        Ignored("starting", ("answered", "prepared", "setup_failed", "unreachable", "rebooted", "drained", "idle",
                             "keep", "notice", "start"), "the cloud has not said that it runs"),
        Ignored("starting", ("seen_stopped",), "so it was, and its effect starts it again; the start deadline counts"),
        Ignored("terminating", ("unfilled", "refused", "answered", "prepared", "setup_failed", "unreachable",
                                "rebooted", "drain", "drained", "idle", "keep", "notice", "seen_stopped",
                                "seen_running", "start", "end"), "it is being ended; only its end counts"),
        Ignored("terminating", ("overdue",), "shown as overdue, tried for ever: giving up would leak it"),
        Ignored("terminated, failed", ("bound", "unfilled", "refused", "overdue", "absent", "answered", "prepared",
                                       "setup_failed", "unreachable", "rebooted", "drain", "drained", "idle", "keep",
                                       "notice", "seen_stopped", "seen_running", "start", "end", "gone"),
                "final; a machine that still lives is an orphan, and ended as one"),
    ),
)  # fmt: skip
