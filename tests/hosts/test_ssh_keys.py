"""Keys: which of ours opens a machine, which of a machine's is believed, and that a changed one gets nothing."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import asyncssh
import pytest
from attrs import evolve

from reconciler.hosts.base import UnreachableError
from reconciler.hosts.ssh import SshTransport
from reconciler.hosts.ssh_way import parse_login
from tests.hosts.machines import run, ssh_host, ssh_transport, ssh_way
from tests.machines.sshd import SshMachine, machine, need_machines, new_key


@pytest.fixture
def there(tmp_path: Path) -> Iterator[SshMachine]:
    need_machines()
    with machine(folder=tmp_path / "machine") as made:
        yield made


def _fails(transport: SshTransport) -> str:
    async def story() -> str:
        with pytest.raises(UnreachableError) as failure:
            await transport.run(["true"])
        await transport.close()
        return str(failure.value)

    return run(story())


def _reached(transport: SshTransport) -> bool:
    async def story() -> bool:
        result = await transport.run(["echo", "on"])
        await transport.close()
        return result.stdout == b"on\n"

    return run(story())


def test_the_first_key_is_kept_and_a_report_tells_it(there: SshMachine) -> None:
    host = ssh_host(there)
    assert run(host.report()).host_key == there.host_key
    run(host.close())


def test_a_changed_key_gets_nothing_more(there: SshMachine) -> None:
    transport = ssh_transport(there)
    assert _reached(transport)
    good = (there.folder / "host_key").read_bytes()
    there.change_host_key(new_key())
    there.reboot()
    assert "changed" in _fails(transport)
    before = there.commands()
    # Not even when the right key is back: whoever wants that makes a new object.
    (there.folder / "host_key").write_bytes(good)
    there.reboot()
    assert "nothing more is sent to it" in _fails(transport)
    assert there.commands() == before


def test_a_key_of_another_kind_is_a_changed_key(there: SshMachine) -> None:
    transport = ssh_transport(there)
    assert _reached(transport)
    there.change_host_key(asyncssh.generate_private_key("ecdsa-sha2-nistp256"))
    there.reboot()
    assert "changed" in _fails(transport)


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"])
def test_a_pinned_key_of_every_kind_is_believed(there: SshMachine, kind: str) -> None:
    there.change_host_key(asyncssh.generate_private_key(kind))
    there.reboot()
    assert _reached(ssh_transport(there, host_key=there.host_key))


def test_another_machine_does_not_have_the_pinned_key(there: SshMachine) -> None:
    with machine() as other:
        transport = ssh_transport(there, host_key=other.host_key)
        said = _fails(transport)
        assert "the host key of" in said
        assert there.address in said
        assert said == _fails(transport)


def test_keys_that_the_cloud_tells_are_believed_and_no_other(there: SshMachine) -> None:
    async def right() -> Sequence[str]:
        return [_public(new_key()), there.host_key]

    async def wrong() -> Sequence[str]:
        return [_public(new_key())]

    async def none() -> Sequence[str]:
        return []

    handshakes = asyncio.Semaphore(5)
    assert _reached(SshTransport(ssh_way(there), handshakes=handshakes, trusted=right))
    assert _reached(SshTransport(ssh_way(there), handshakes=handshakes, trusted=none))
    assert "the host key of" in _fails(SshTransport(ssh_way(there), handshakes=handshakes, trusted=wrong))


def test_the_cloud_is_asked_for_keys_once_and_only_when_the_machine_answers(there: SshMachine) -> None:
    asked = []

    async def trusted() -> Sequence[str]:
        asked.append(there.address)
        return [there.host_key]

    transport = SshTransport(ssh_way(there), handshakes=asyncio.Semaphore(5), trusted=trusted)
    there.stop()
    _fails(transport)
    assert asked == []
    there.start()
    assert _reached(transport)
    assert _reached(transport)
    assert asked == [there.address]


def test_a_file_of_known_hosts_decides(there: SshMachine, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    assert "is not there" in _fails(ssh_transport(there, known_hosts=known))
    known.write_text(f"{there.address} {_public(new_key())}\n")
    assert "does not have the host key" in _fails(ssh_transport(there, known_hosts=known))
    known.write_text(f"other {there.host_key}\n")
    assert "does not have the host key" in _fails(ssh_transport(there, known_hosts=known))
    known.write_text(f"{there.address} {there.host_key}\n")
    assert _reached(ssh_transport(there, known_hosts=known))


def test_a_bastion_leads_on_and_its_own_key_is_kept(there: SshMachine, tmp_path: Path) -> None:
    with machine(folder=tmp_path / "bastion") as bastion:
        transport = ssh_transport(there, via=f"{bastion.user}@{bastion.address}")
        assert _reached(transport)
        assert transport.host_key == there.host_key
        bastion.change_host_key(new_key())
        bastion.reboot()
        said = _fails(transport)
        assert "the host key of" in said
        assert bastion.address in said
        bastion.stop()
        assert bastion.address in _fails(ssh_transport(there, via=f"{bastion.user}@{bastion.address}"))


def _missing(path: Path, key: asyncssh.SSHKey) -> None:
    path.unlink()


def _public_half(path: Path, key: asyncssh.SSHKey) -> None:
    path.write_bytes(key.export_public_key())


def _nonsense(path: Path, key: asyncssh.SSHKey) -> None:
    path.write_bytes(b"\x00\xff nonsense")


def _encrypted(path: Path, key: asyncssh.SSHKey) -> None:
    # asyncssh writes this form with a package that it only recommends.
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path.with_name("fresh")], check=True)
    path.write_bytes(path.with_name("fresh").read_bytes())


def _old_encrypted(path: Path, key: asyncssh.SSHKey) -> None:
    path.write_bytes(asyncssh.generate_private_key("ssh-rsa").export_private_key("pkcs1-pem", passphrase="secret"))


def _folder(path: Path, key: asyncssh.SSHKey) -> None:
    path.unlink()
    path.mkdir()


def _strange(path: Path, key: asyncssh.SSHKey) -> None:
    path.write_bytes(new_key().export_private_key())


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_missing, "is not there"),
        (_public_half, "holds no private key"),
        (_nonsense, "holds no private key"),
        (_encrypted, "is encrypted"),
        (_old_encrypted, "is encrypted"),
        (_folder, "cannot be read"),
        (_strange, "does not let ubuntu in"),
    ],
)
def test_a_key_file_that_will_not_do_is_told(
    there: SshMachine, tmp_path: Path, prepare: Callable[[Path, asyncssh.SSHKey], None], words: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"")
    prepare(path, new_key())
    said = _fails(SshTransport(evolve(ssh_way(there), key_path=path), handshakes=asyncio.Semaphore(5)))
    assert words in said
    assert str(path) in said


def test_without_a_key_file_the_usual_ones_are_taken_and_no_config(there: SshMachine, tmp_path: Path) -> None:
    folder = tmp_path / "me/.ssh"
    folder.mkdir(parents=True)
    (folder / "config").write_text("Host *\n  ProxyCommand false\n  User nobody\n  Port 1\n")
    way = evolve(ssh_way(there), key_path=None)
    assert "name one with key_path" in _fails(SshTransport(way, handshakes=asyncio.Semaphore(5), home=tmp_path / "me"))
    (folder / "id_rsa").write_bytes(b"nonsense")
    (folder / "id_ed25519").write_bytes(there.key_path.read_bytes())
    assert _reached(SshTransport(way, handshakes=asyncio.Semaphore(5), home=tmp_path / "me"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("host", ("", "host", 22)),
        ("me@host.example:2222", ("me", "host.example", 2222)),
        ("[::1]", ("", "::1", 22)),
        ("me@[fe80::1]:23", ("me", "fe80::1", 23)),
    ],
)
def test_where_to_log_in_is_read(text: str, parts: tuple[str, str, int]) -> None:
    assert parse_login(text) == parts


@pytest.mark.parametrize("text", ["", "a b", "host:", "host:x", "@host", "host:123456", "fe80::1"])
def test_where_nobody_can_log_in_is_refused(text: str) -> None:
    with pytest.raises(UnreachableError, match="where one can log in"):
        parse_login(text)


def _public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
