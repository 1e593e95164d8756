"""`ssh`: the key, bastion and pinned host key reach OpenSSH as they are, over real servers where they can be played."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from reconciler.cli.login import Login, NoWayInError, arguments, known_host, login_of
from reconciler.model.rows import Instance
from reconciler.spec.canonical import to_json
from reconciler.spec.options import Ec2Cloud, SshCloud
from reconciler.store.store import Store
from tests.cli.cli_rows import Invoke, Start
from tests.machines.sshd import SshMachine, machine, need_machines, new_key
from tests.store.store_rows import fill, instance

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"
LOGIN = Login(
    address="10.0.0.1", port=22, user="ubuntu", key_path=Path("/keys/a.pem"), via="", known_hosts=None, host_key=KEY
)


def simply_there(address: str, **settings: object) -> Instance:
    """A machine of the ssh cloud, whose address is what the settings name."""
    text = to_json(SshCloud(**{"machines": (address,), **settings}))
    return evolve(row(address=address), cloud="ssh", settings=text)


def row(name: str = "m1", *, address: str = "10.0.0.1", host_key: str = KEY, **settings: object) -> Instance:
    """A machine of EC2, born with these settings."""
    text = to_json(Ec2Cloud(**{"region": "eu-west-1", **settings}))
    return instance(
        name, state="ready", cloud="ec2", cloud_id="i-1", address=address, host_key=host_key, settings=text,
        place='{"region":"eu-west-1"}',
    )  # fmt: skip


def line(login: Login, words: Sequence[str] = (), *, first_use: bool = False, terminal: bool = False) -> list[str]:
    pinned = Path("/tmp/known hosts")
    return list(
        arguments(login, words, program="ssh", alias="m1", pinned=pinned, first_use=first_use, terminal=terminal)
    )


def understood(login: Login, *, first_use: bool = False, terminal: bool = False) -> dict[str, str]:
    """What OpenSSH itself makes of the command line."""
    if shutil.which("ssh") is None:
        pytest.skip("OpenSSH's client: there is no program ssh")
    words = line(login, first_use=first_use, terminal=terminal)
    told = subprocess.run([words[0], "-G", *words[1:]], capture_output=True, text=True, check=True).stdout
    return {key: value for key, _, value in (each.partition(" ") for each in told.splitlines())}


def test_the_settings_that_the_machine_was_born_with() -> None:
    born = row(user="admin", port=2022, key_path=Path("/keys/b.pem"), via="me@gate:23", known_hosts=Path("/k"))
    assert login_of(born) == Login(
        address="10.0.0.1", port=2022, user="admin", key_path=Path("/keys/b.pem"), via="me@gate:23",
        known_hosts=Path("/k"), host_key=KEY,
    )  # fmt: skip


@pytest.mark.parametrize(("terminal", "wanted"), [(True, "true"), (False, "false")])
def test_ssh_does_not_have_to_find_out_about_a_terminal(*, terminal: bool, wanted: str) -> None:
    assert understood(LOGIN, terminal=terminal)["requesttty"] == wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("10.0.0.1", ("10.0.0.1", 22)), ("host:2022", ("host", 2022)), ("[::1]:2022", ("::1", 2022)),
        ("fe80::1", ("fe80::1", 22)), ("[::1]", ("::1", 22)),
    ],
)  # fmt: skip
def test_an_address_may_name_its_port(address: str, wanted: tuple[str, int]) -> None:
    login = login_of(row(address=address))
    assert (login.address, login.port) == wanted


def test_a_machine_that_is_simply_there_may_name_its_user() -> None:
    login = login_of(simply_there("me@gpu1:2222", user="you", via="gate"))
    assert (login.user, login.address, login.port, login.via) == ("me", "gpu1", 2222, "gate")
    assert login_of(simply_there("gpu1", user="you")).user == "you"
    assert "-l" not in line(login_of(simply_there("gpu1")))


@pytest.mark.parametrize("address", ["-oProxyCommand=id", "[-x]:22", "a b", "host:x", ":22"])
def test_what_is_no_address_goes_nowhere(address: str) -> None:
    with pytest.raises(NoWayInError, match="nothing to connect to"):
        login_of(row(address=address))


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (evolve(row(), address=""), "has no address yet"),
        (evolve(row(), settings="{}"), "say nothing of ssh"),
        (evolve(row(), settings="no json"), "say nothing of ssh"),
    ],
)
def test_a_row_that_leads_nowhere(spoilt: Instance, message: str) -> None:
    with pytest.raises(NoWayInError, match=message):
        login_of(spoilt)


def test_only_the_pinned_key_is_believed() -> None:
    known = understood(LOGIN)
    assert (known["user"], known["hostname"], known["port"]) == ("ubuntu", "10.0.0.1", "22")
    assert known["identityfile"] == "/keys/a.pem"
    assert known["userknownhostsfile"] == "/tmp/known hosts"
    assert known["globalknownhostsfile"] == "/dev/null"
    assert known["stricthostkeychecking"] == "true"
    assert known["hostkeyalias"] == "m1"
    assert known_host(LOGIN, "m1") == f"m1 {KEY}\n"


def test_nothing_is_forwarded_and_no_password_asked() -> None:
    known = understood(LOGIN)
    wanted = ("forwardagent", "forwardx11", "passwordauthentication", "kbdinteractiveauthentication")
    assert {known[name] for name in wanted} == {"no"}
    assert known["identitiesonly"] == "yes"


def test_the_first_key_is_believed_only_if_asked_and_none_is_known() -> None:
    unknown = evolve(LOGIN, host_key="")
    assert understood(unknown, first_use=True)["stricthostkeychecking"] == "accept-new"
    assert understood(unknown)["stricthostkeychecking"] == "true"
    assert understood(LOGIN, first_use=True)["stricthostkeychecking"] == "true"


def test_the_users_own_list_counts_where_no_key_is_pinned() -> None:
    listed = understood(evolve(LOGIN, host_key="", known_hosts=Path("/my/list")))
    assert (listed["userknownhostsfile"], listed.get("hostkeyalias")) == ("/my/list", None)
    assert understood(evolve(LOGIN, known_hosts=Path("/my/list")))["userknownhostsfile"] == "/tmp/known hosts"


@pytest.mark.parametrize("name", ["with blank", "100%d", "$(id)", "it's", "back\\slash", "`id`;x"])
def test_paths_arrive_as_they_are(name: str) -> None:
    known = understood(evolve(LOGIN, key_path=Path("/keys") / name, known_hosts=None))
    assert known["identityfile"] in (f"/keys/{name}", f"/keys/{name.replace('%', '%%')}")


def test_a_command_is_one_text_that_a_shell_splits_again() -> None:
    words = ["printf", "%s\n", "a b", "$(id)", "it's", "--", "-x"]
    *_, separator, address, text = line(LOGIN, words)
    assert (separator, address) == ("--", "10.0.0.1")
    told = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == words[2:]


def test_a_machine_that_has_shown_no_key_is_refused(invoke: Invoke, store: Store) -> None:
    fill(store, row(host_key=""))
    told = invoke("ssh", "i-1")
    assert told.exit_code == 2
    assert "m1 has shown no host key yet" in told.stderr
    assert "--first-use" in told.stderr


def test_no_program(invoke: Invoke, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fill(store, row())
    monkeypatch.setenv("PATH", str(tmp_path))
    told = invoke("ssh", "m1")
    assert told.exit_code == 1
    assert "openssh-client" in told.stderr


def test_nobody_of_that_name(invoke: Invoke, here: Path) -> None:
    assert "there is no instance 'x'" in invoke("ssh", "x").stderr


@pytest.mark.real
def test_a_local_machine_is_a_folder(here: Path, store: Store, start: Start, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    fill(store, instance("m1", state="ready", cloud_id="local-1", address=str(home)))
    inside = start("ssh", "m1", "--", "sh", "-c", 'pwd; echo "$HOME" "$1"; exit 7', "sh", "a  b")
    assert inside.communicate(timeout=60) == (f"{home}\n{home} a  b\n", "")
    assert inside.returncode == 7


def test_a_local_machine_that_is_gone(invoke: Invoke, store: Store) -> None:
    fill(store, instance("m1", state="ready", address="/nowhere/home"))
    told = invoke("ssh", "m1")
    assert told.exit_code == 1
    assert "its folder /nowhere/home is not there" in told.stderr


def played(made: SshMachine, **changes: object) -> Instance:
    """The row of a machine that answers."""
    found = row(address=made.where, host_key=made.host_key, key_path=made.key_path, user=made.user)
    return evolve(found, settings=json.dumps(json.loads(found.settings) | changes))


@pytest.mark.real
def test_a_real_server_answers(store: Store, start: Start) -> None:
    need_machines()
    with machine() as made:
        fill(store, played(made))
        there = start("ssh", "m1", "--", "sh", "-c", 'pwd; printf "%s\n" "$@"; exit 3', "sh", "a  b", "$(id)")
        assert there.communicate(timeout=60) == ("/home/ubuntu\na  b\n$(id)\n", "")
        assert there.returncode == 3


@pytest.mark.real
def test_another_host_key_is_refused(store: Store, start: Start) -> None:
    need_machines()
    with machine() as made:
        other = " ".join(new_key().export_public_key().decode().split()[:2])
        fill(store, evolve(played(made), host_key=other))
        out, err = start("ssh", "m1", "--", "echo", "in").communicate(timeout=60)
        assert out == ""
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in err


@pytest.mark.real
def test_the_first_key_is_taken_when_that_is_said(store: Store, start: Start) -> None:
    need_machines()
    with machine() as made:
        fill(store, evolve(played(made), host_key=""))
        out, _ = start("ssh", "--first-use", "m1", "--", "echo", "in").communicate(timeout=60)
        assert out == "in\n"


@pytest.mark.real
def test_through_a_bastion(store: Store, start: Start, tmp_path: Path) -> None:
    need_machines()
    key = new_key()
    with machine(user_key=key) as gate, machine(user_key=key, port=2222) as made:
        known = tmp_path / "known hosts"
        known.write_text(f"{gate.address} {gate.host_key}\n")
        fill(store, played(made, via=f"{gate.user}@{gate.address}", known_hosts=str(known)))
        out, err = start("ssh", "m1", "--", "sh", "-c", 'echo "$SSH_CONNECTION"').communicate(timeout=60)
        assert out.split()[2:] == [made.address, "2222"], err


@pytest.mark.real
def test_a_bastion_that_is_another_is_refused(store: Store, start: Start, tmp_path: Path) -> None:
    need_machines()
    key = new_key()
    with machine(user_key=key) as gate, machine(user_key=key) as made:
        known = tmp_path / "known"
        known.write_text(f"{gate.address} {made.host_key}\n")
        fill(store, played(made, via=f"{gate.user}@{gate.address}", known_hosts=str(known)))
        out, err = start("ssh", "m1", "--", "echo", "in").communicate(timeout=60)
        assert out == ""
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in err
