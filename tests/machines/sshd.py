"""Machines for tests: a real OpenSSH server each, with a home, a process tree, a boot id and a host key of its own.

    with machine("127.3.0.1") as made:
        ...  # ssh -i made.key_path ubuntu@127.3.0.1

It needs root on Linux, OpenSSH's server and util-linux's unshare: `need_machines()` skips a test by name elsewhere.
What a machine sees of this computer is its file system, but for /home, /run and /etc/passwd. Its processes live in a
PID namespace whose end ends them all, detached ones too, and which ends with this process. Nothing is left behind on
this computer outside the machine's folder.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import asyncssh
import pytest

USER = "ubuntu"
_UID = 1000
_PATIENCE = 30.0  # seconds for a server to listen
_ESTABLISHED = "01"  # a connection's state in /proc/net/tcp

# Arguments: the machine's folder, its name. Values never become part of the text.
_BOOT = """
set -e
cd "$1"
mount -t tmpfs tmpfs /home
mount -t tmpfs tmpfs /run
mkdir /home/ubuntu /run/sshd /run/machine
cp authorized_keys sshd_config /run/machine/
chmod 644 /run/machine/authorized_keys
mount --bind home /home/ubuntu
mount --bind passwd /etc/passwd
mount --bind group /etc/group
mount --bind boot_id /proc/sys/kernel/random/boot_id
hostname "$2"
exec "$3" -D -e -f /run/machine/sshd_config
"""

_CONFIG = """\
ListenAddress {address}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile /run/machine/authorized_keys
PidFile none
UsePAM no
UseDNS no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 1000
MaxSessions {sessions}
AllowTcpForwarding yes
AllowUsers {user}@127.0.0.0/8
Subsystem sftp internal-sftp
LogLevel ERROR
"""


@cache
def why_not() -> str:
    """Why this computer cannot play machines; empty where it can."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("unshare", "mount", "hostname") if shutil.which(name) is None]
    if _sshd() is None:
        missing.append("sshd (openssh-server)")
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "tmpfs", "/home"],
        capture_output=True, check=False,
    )  # fmt: skip
    return "" if tried.returncode == 0 else "needs the right to make namespaces"


def need_machines() -> None:
    """Skip the test by name where there can be no machines."""
    if reason := why_not():
        pytest.skip(f"machines with a real sshd: {reason}")


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_address() -> str:
    """A loopback address at which nobody listens on port 22, by chance and by a look."""
    while True:
        raw = uuid.uuid4().bytes
        address = f"127.{raw[0] % 200 + 20}.{raw[1]}.{raw[2] % 254 + 1}"
        with socket.socket() as probe:
            if probe.connect_ex((address, 22)):
                return address


def new_key() -> asyncssh.SSHKey:
    """A fresh key pair, for a host or a user."""
    return asyncssh.generate_private_key("ssh-ed25519")


@cache
def everybodys_key() -> asyncssh.SSHKey:
    """The user's key that opens every machine of this run, unless a machine is given another."""
    return new_key()


class SshMachine:
    """One machine. Its folder outlives its boots, as a disk does."""

    def __init__(
        self, folder: Path, address: str, *, port: int = 22, boot_id: str = "", max_sessions: int = 10,
        host_key: asyncssh.SSHKey | None = None, user_key: asyncssh.SSHKey | None = None, home: Path | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.address = address
        self.port = port
        self.user = USER
        self.home = home or folder / "home"
        self.key_path = folder / "user_key"
        self._sessions = max_sessions
        self._init: subprocess.Popen[bytes] | None = None
        self._lay_out(boot_id or str(uuid.uuid4()), user_key or everybodys_key())
        self.host_key = ""
        self.change_host_key(host_key or new_key())

    @property
    def where(self) -> str:
        """host, or host:port, as a pool spec file names it."""
        return self.address if self.port == 22 else f"{self.address}:{self.port}"

    @property
    def boot_id(self) -> str:
        """Of the present boot, or the one to come."""
        return (self.folder / "boot_id").read_text().strip()

    def change_host_key(self, key: asyncssh.SSHKey) -> None:
        """What the next boot will show."""
        path = self.folder / "host_key"
        path.write_bytes(key.export_private_key())
        path.chmod(0o600)
        self.host_key = " ".join(key.export_public_key().decode().split()[:2])

    def start(self) -> None:
        """Boot. Returns once it listens."""
        assert self._init is None
        sshd = _sshd()
        assert sshd is not None
        with (self.folder / "sshd.log").open("ab") as log:
            command = [
                "unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child",
                "sh", "-c", _BOOT, "boot", str(self.folder), f"m-{self.address}".replace(".", "-"), sshd,
            ]  # fmt: skip
            self._init = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        give_up = time.monotonic() + _PATIENCE
        while not self._listens():
            if self._init.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"no sshd on {self.where}: {(self.folder / 'sshd.log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Pull the plug: every process of it is killed."""
        if self._init is not None:
            self.heal()
            living = self.processes()
            for pid in living:  # the first is its init, with which all others end
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._init.kill()
            self._init.wait()
            self._init = None
            while any(map(_lives, living)):  # the kernel takes its time; the next boot needs the address
                time.sleep(0.005)

    def reboot(self, boot_id: str = "") -> None:
        """Pull the plug and boot again, under another boot id."""
        self.stop()
        (self.folder / "boot_id").write_text(f"{boot_id or uuid.uuid4()}\n")
        self.start()

    def drop_connections(self) -> None:
        """Every open connection ends, as when sshd is restarted; jobs go on."""
        for pid in self._sshds()[1:]:  # the first listens, and is what the whole machine hangs on
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def hang(self) -> None:
        """Every process stands still; the kernel goes on taking connections, as that of a swapping machine does."""
        self._signal(self.processes(), signal.SIGSTOP)

    def cut(self) -> None:
        """Nothing gets through, and nobody is told; jobs go on."""
        self._signal(self._sshds(), signal.SIGSTOP)

    def heal(self) -> None:
        """End `hang` and `cut`."""
        self._signal(self.processes(), signal.SIGCONT)

    def processes(self) -> list[int]:
        """Every process of the machine, by its pid on this computer, in order of birth."""
        if self._init is None or self._init.poll() is not None:
            return []
        space = _namespace(f"/proc/{self._init.pid}/ns/pid_for_children")
        pids = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in pids if space and _namespace(f"/proc/{pid}/ns/pid") == space]

    def commands(self) -> list[str]:
        """The command lines of its processes, but for sshd's."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if line and not line.startswith(("sshd:", "/usr/sbin/sshd")):
                    found.append(line)
        return found

    def connections(self) -> int:
        """How many connections to its sshd are open, by the kernel's own table (proc(5), /proc/net/tcp)."""
        here = f"{socket.inet_aton(self.address)[::-1].hex()}:{self.port:04x}".upper()
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(local == here and state == _ESTABLISHED for _, local, _, state, *_ in rows)

    def _sshds(self) -> list[int]:
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "sshd":
                    found.append(pid)
        return found

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def _lay_out(self, boot_id: str, user_key: asyncssh.SSHKey) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        os.chown(self.home, _UID, _UID)
        if self.home != self.folder / "home":
            (self.folder / "home").symlink_to(self.home)
        self.key_path.write_bytes(user_key.export_private_key())
        self.key_path.chmod(0o600)
        files = {
            "boot_id": f"{boot_id}\n",
            "authorized_keys": user_key.export_public_key().decode(),
            "passwd": f"root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
            f"nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n{USER}:x:{_UID}:{_UID}::/home/{USER}:/bin/sh\n",
            "group": f"root:x:0:\nnogroup:x:65534:\n{USER}:x:{_UID}:\n",
            "sshd_config": _CONFIG.format(
                address=self.address, port=self.port, folder=self.folder, sessions=self._sessions, user=USER
            ),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def _namespace(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


@contextlib.contextmanager
def machine(
    address: str = "", *, folder: Path | None = None, port: int = 22, boot_id: str = "", max_sessions: int = 10,
    host_key: asyncssh.SSHKey | None = None, user_key: asyncssh.SSHKey | None = None, home: Path | None = None,
) -> Iterator[SshMachine]:  # fmt: skip
    """A machine that has booted; at the end it and all that runs on it are gone.

    `folder` keeps its disk (else a temporary one), `home` its home elsewhere. Without an address it takes a free one.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="machine-", ignore_cleanup_errors=True))
            )
        made = SshMachine(
            folder, address or free_address(), port=port, boot_id=boot_id, max_sessions=max_sessions,
            host_key=host_key, user_key=user_key, home=home,
        )  # fmt: skip
        stack.callback(made.stop)
        made.start()
        yield made
