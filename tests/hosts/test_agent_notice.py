"""The cloud's word of a machine's end, by every client that a machine may have, and what must not pass for it."""

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.job import Notice
from tests.hosts.machines import LocalMachine, run
from tests.hosts.metadata import ACTION, REBALANCE, TOKEN, Metadata, metadata_service
from tests.hosts.watched import guarded, install, replace_tool, tools, wait_for_shutdown

STOP = '{"action": "stop", "time": "2017-09-18T08:22:00Z"}'
TERMINATE = '{"action":"terminate","time":"2017-09-18T08:22:00Z"}'
SOON = '{"noticeTime": "2020-10-27T08:22:00Z"}'
LEASE = 1  # seconds: the shorter the lease, the more often a watch looks up


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with metadata_service() as service:
        yield service


CLIENTS = ("curl", "wget", "python3")
one_shell = pytest.mark.parametrize("shell", ["dash"], indirect=True)


def _leave_only(machine: LocalMachine, clients: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with these clients, which note how they were called, and with all else that the machine has."""
    own, *others = machine.environment["PATH"].split(":")
    rest = machine.home.parent / "rest"
    rest.mkdir()
    for program in {path.name: path for folder in others for path in Path(folder).iterdir()}.values():
        if program.name not in CLIENTS:
            (rest / program.name).symlink_to(program)
    for name in clients:
        found = str(Path(sys.executable).resolve()) if name == "python3" else shutil.which(name, path="/usr/bin:/bin")
        if found is None:
            pytest.skip(f"{name} is not installed")
        replace_tool(machine, name, f'echo "$*" >>"{_calls(machine)}"; exec "{found}" "$@"')
    monkeypatch.setenv("PATH", f"{own}:{rest}")


def _calls(machine: LocalMachine) -> Path:
    return machine.home.parent / "calls"


def _asked_again(metadata: Metadata, path: str = ACTION) -> None:
    """Return when it was asked twice more: what it said at first was then made up the mind about."""
    enough = len([asked for asked in metadata.asked if asked[1] == path]) + 2
    while len([asked for asked in metadata.asked if asked[1] == path]) < enough:
        time.sleep(0.02)


def _next(machine: LocalMachine, notice: Notice) -> Notice:
    """The notice that follows this one, by a long poll."""
    report = machine.report()
    while report.notice is notice:
        report = run(machine.host.report(wait=50, mark=report.mark))
    return report.notice


@pytest.mark.parametrize(
    ("shell", "client"),
    [*(("dash", client) for client in CLIENTS), ("bash", "curl"), ("busybox", "curl")],
    indirect=["shell"],
)
def test_the_notice_comes_by_any_client(
    machine: LocalMachine, metadata: Metadata, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_only(machine, (client,), monkeypatch)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    install(guarded(machine, lease=LEASE, metadata=f"{metadata.url}/"))
    _asked_again(metadata)
    assert machine.report().notice is Notice.NONE
    metadata.answers[REBALANCE] = (200, SOON)
    assert _next(machine, Notice.NONE) is Notice.REBALANCE
    metadata.answers[ACTION] = (200, TERMINATE)
    assert _next(machine, Notice.REBALANCE) is Notice.EVICTION
    assert {status for _, _, status in metadata.asked} == {200, 404}
    methods = [method for method, _, _ in metadata.asked]
    assert 1 <= methods.count("PUT") < methods.count("GET") / 2
    called = _calls(machine).read_text()
    assert ACTION in called
    assert TOKEN not in called
    assert not (machine.home / ".reconciler/wgetrc").exists()


@pytest.mark.parametrize("text", [STOP, TERMINATE, '{\n "action" : "hibernate"\n}\n'])
@one_shell
def test_every_way_of_going_is_an_eviction(machine: LocalMachine, metadata: Metadata, text: str) -> None:
    metadata.answers[ACTION] = (200, text)
    install(guarded(machine, lease=LEASE, metadata=metadata.url))
    assert _next(machine, Notice.NONE) is Notice.EVICTION


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (ACTION, 200, "<html>Please log in to {the} network: terminate, stop</html>"),
        (ACTION, 200, '<pre>{"action": "terminate"}</pre>'),
        (ACTION, 200, '{"action": "reboot", "time": "2017-09-18T08:22:00Z"}'),
        (ACTION, 200, '{"reaction": "terminate"}'),
        (ACTION, 200, '{"action": "terminate'),
        (ACTION, 200, "terminate"),
        (ACTION, 200, ""),
        (ACTION, 200, '* $(touch ~/hit) `touch ~/hit` {"x": "*"}'),
        (ACTION, 500, TERMINATE),
        (ACTION, 302, "/latest/user-data"),
        (REBALANCE, 200, "<html>noticeTime</html>"),
        (REBALANCE, 200, '{"noticeTime": ""}'),
        (REBALANCE, 404, SOON),
    ],
)
@one_shell
def test_anything_else_is_no_notice(
    machine: LocalMachine, metadata: Metadata, path: str, status: int, text: str
) -> None:
    metadata.answers[path] = (status, text)
    metadata.answers["/latest/user-data"] = (200, TERMINATE)
    install(guarded(machine, lease=LEASE, metadata=metadata.url))
    _asked_again(metadata)
    assert machine.report().notice is Notice.NONE
    assert not (machine.home / "hit").exists()


@pytest.mark.parametrize("client", ["wget", "python3"])
@one_shell
def test_no_client_goes_where_it_is_sent(
    machine: LocalMachine, metadata: Metadata, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_only(machine, (client,), monkeypatch)
    metadata.answers[ACTION] = (302, "/latest/user-data")
    metadata.answers["/latest/user-data"] = (200, TERMINATE)
    install(guarded(machine, lease=LEASE, metadata=metadata.url))
    _asked_again(metadata)
    assert machine.report().notice is Notice.NONE


@one_shell
def test_without_a_proper_token_nothing_is_asked(machine: LocalMachine, metadata: Metadata) -> None:
    metadata.token = '<html>"$(id)"</html>'
    metadata.answers[ACTION] = (200, TERMINATE)
    install(guarded(machine, lease=LEASE, metadata=metadata.url))
    _asked_again(metadata, "/latest/api/token")
    assert {path for _, path, _ in metadata.asked} == {"/latest/api/token"}
    assert machine.report().notice is Notice.NONE


def test_an_eviction_stays_for_this_boot(machine: LocalMachine, metadata: Metadata) -> None:
    metadata.answers[ACTION] = (200, TERMINATE)
    _with_any_client(machine)
    install(guarded(machine, lease=LEASE, metadata=metadata.url))
    assert _next(machine, Notice.NONE) is Notice.EVICTION
    metadata.answers[ACTION] = (404, "")
    install(guarded(machine, lease=LEASE + 1, metadata=metadata.url))
    assert machine.report().notice is Notice.EVICTION
    machine.boot_file.write_text("22222222-2222-3333-4444-555555555555\n")
    assert machine.report().notice is Notice.NONE


def _with_any_client(machine: LocalMachine) -> None:
    """Busybox alone has none."""
    if not (tools(machine) / "curl").exists():
        replace_tool(machine, "curl", f'exec "{shutil.which("curl", path="/usr/bin:/bin")}" "$@"')


def test_a_machine_without_a_client_is_watched_all_the_same(
    machine: LocalMachine, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_only(machine, (), monkeypatch)
    metadata.answers[ACTION] = (200, TERMINATE)
    install(guarded(machine, lease=1, metadata=metadata.url))
    wait_for_shutdown(machine)
    assert metadata.asked == []
    assert machine.report().notice is Notice.NONE


@one_shell
def test_a_client_that_comes_later_is_used(
    machine: LocalMachine, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_only(machine, (), monkeypatch)
    metadata.answers[ACTION] = (200, TERMINATE)
    install(guarded(machine, lease=LEASE, metadata=metadata.url))
    _with_any_client(machine)
    assert _next(machine, Notice.NONE) is Notice.EVICTION


@one_shell
def test_a_service_that_hangs_does_not_hold_up_the_watch(machine: LocalMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        install(guarded(machine, lease=1, metadata=f"http://127.0.0.1:{hanging.getsockname()[1]}"))
        wait_for_shutdown(machine)
    assert machine.report().notice is Notice.NONE
