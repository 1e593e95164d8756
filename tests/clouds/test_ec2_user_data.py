"""The script that every machine of EC2 boots with: what it is put together from, and that it ends a machine."""

import email
import gzip
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.clouds.base import CloudError
from reconciler.clouds.ec2_user_data import MOST, armed, user_data
from reconciler.model.offer import Fault

SHELLS = (("dash",), ("bash", "--posix"), ("busybox", "sh"))
BOOT = "6b1f2c1e-0000-4000-8000-000000000001"


def parts(text: str) -> list[tuple[str, str]]:
    found = [part for part in email.message_from_string(text).walk() if not part.is_multipart()]
    return [(part.get_content_subtype(), (part.get_payload(decode=True) or b"").decode()) for part in found]


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        (b"#!/bin/bash\necho '$HOME' `x`\n", "x-shellscript"),
        (b"#cloud-config\nruncmd: [ls]\n", "cloud-config"),
        ("#!/bin/sh\necho é — ü\n".encode(), "x-shellscript"),
        (b"#include\nhttps://example.org/x\n", "x-include-url"),
        (b"#cloud-boothook\nls\n", "cloud-boothook"),
    ],
)
def test_the_users_file_stays_as_it_is(own: bytes, kind: str) -> None:
    ours, theirs = parts(user_data(3600, "ubuntu", own))
    assert ours[0] == "cloud-boothook"
    assert ours[1] == "#cloud-boothook\n" + armed(3600, "ubuntu")
    assert theirs == (kind, own.decode())
    assert user_data(3600, "ubuntu", own) == user_data(3600, "ubuntu", own)
    assert parts(user_data(3600, "ubuntu", gzip.compress(own))) == [ours, theirs]


def test_a_message_of_theirs_is_taken_apart() -> None:
    inner = user_data(1, "x", b"#!/bin/sh\nls\n").encode()
    assert [kind for kind, _ in parts(user_data(3600, "ubuntu", inner))] == ["cloud-boothook"] * 2 + ["x-shellscript"]


@pytest.mark.parametrize(
    ("own", "what"),
    [
        (b"echo hello", "begin it with #!"),
        (b"#!/bin/sh\n\xff", "not UTF-8"),
        (b"\x1f\x8bx", "gzip"),
        (b"#!/bin/sh\n" + b"x" * MOST, "16384"),
    ],
)
def test_what_no_machine_could_boot_with_is_refused(own: bytes, what: str) -> None:
    with pytest.raises(CloudError, match=what) as refusal:
        user_data(3600, "ubuntu", own)
    assert refusal.value.fault is Fault.REFUSED


@pytest.mark.parametrize("user", ["ubuntu", "it's", "$(touch /tmp/x)", "`x`", '"; reboot; "', "-x", "a\nb"])
def test_a_users_name_reaches_the_script_as_it_is(user: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(armed(1, user).partition("\nlease=")[0] + '\nprintf "%s" "$2"\n')
    said = subprocess.run(["sh", tmp_path / "script"], capture_output=True, check=True, cwd=tmp_path)
    assert said.stdout.decode() == user


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    (tmp_path / "watch").write_text(armed(60, "me"))
    outcome = subprocess.run(["shellcheck", "-s", "sh", tmp_path / "watch"], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (0, "")


@pytest.fixture(params=SHELLS, ids=" ".join)
def boot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[float, float], Path]]:
    """Runs the script, as cloud-init would, on a machine that has been up for so long; its `shutdown` leaves a mark."""
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"{request.param[0]} is not installed")
    tools, home = tmp_path / "bin", tmp_path / "home"
    tools.mkdir()
    home.mkdir()
    (tmp_path / "boot_id").write_text(f"{BOOT}\n")
    (tools / "shutdown").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/ended\n')
    (tools / "getent").write_text(f'#!/bin/sh\n[ "$2" = me ] && echo "me:x:1:1::{home}:/bin/sh"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    mark = f"{tmp_path}/watch"

    def start(lease: float, uptime: float) -> Path:
        (tmp_path / "uptime").write_text(f"{uptime} 1.0\n")
        (tmp_path / "watch").write_text(armed(lease, "me"))
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}", "RECONCILER_ROUND": "0.05", "MARK": mark,
            "RECONCILER_UPTIME": f"{tmp_path}/uptime", "RECONCILER_BOOT_ID": f"{tmp_path}/boot_id",
        }  # fmt: skip
        subprocess.run([*request.param, mark], env=environment, check=True, timeout=10)
        return tmp_path

    yield start
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MARK={mark}".encode() in entry.read_bytes().split(b"\0"):
                os.kill(int(entry.parent.name), 9)
        except OSError:
            continue


def ended(folder: Path, patience: float) -> bool:
    """Whether the machine was told to shut down, within so many seconds."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if (folder / "ended").exists():
            return True
        time.sleep(0.02)
    return False


def test_a_machine_that_nobody_cares_for_is_shut_down(boot: Callable[[float, float], Path]) -> None:
    folder = boot(60, 61)
    assert ended(folder, 20)
    assert (folder / "ended").read_text().splitlines()[0] == "-h now"


def test_it_lives_as_long_as_its_lease(boot: Callable[[float, float], Path]) -> None:
    folder = boot(60, 60.9)
    assert not ended(folder, 0.5)
    (folder / "uptime").write_text("61.0 1.0\n")
    assert ended(folder, 20)


def test_the_agents_watch_takes_over_and_ours_comes_back_when_it_dies(boot: Callable[[float, float], Path]) -> None:
    folder = boot(60, 10)
    agent = subprocess.Popen(["sleep", "60"])
    watch = folder / "home" / ".reconciler" / "watch"
    watch.parent.mkdir()
    watch.write_text(f"armed {BOOT} {agent.pid}\n")
    (folder / "uptime").write_text("1000.0 1.0\n")
    try:
        assert not ended(folder, 0.5)
    finally:
        agent.kill()
        agent.wait()
    assert ended(folder, 20)


@pytest.mark.parametrize(
    "line", ["armed another-boot {}", "powerless {boot} {}", "armed {boot} x{}", "", "armed {boot}"]
)
def test_what_is_no_watch_of_this_boot_does_not_count(boot: Callable[[float, float], Path], line: str) -> None:
    folder = boot(60, 10)
    watch = folder / "home" / ".reconciler" / "watch"
    watch.parent.mkdir()
    watch.write_text(line.format(os.getpid(), boot=BOOT))
    (folder / "uptime").write_text("1000.0 1.0\n")
    assert ended(folder, 20)


def test_without_the_user_it_ends_all_the_same(boot: Callable[[float, float], Path]) -> None:
    folder = boot(60, 1000)
    shutil.rmtree(folder / "home")
    assert ended(folder, 20)
    assert "me" not in {entry.pw_name for entry in pwd.getpwall()}
