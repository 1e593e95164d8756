"""What comes home, and what does not: outputs are other people's files, on machines with any userland."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.hosts.base import HostRefusedError, UnstorableError
from reconciler.model.job import Collected, Job, OutputLimits
from tests.hosts.machines import LocalMachine, run


def _collect(machine: LocalMachine, into: Path, command: str, *outputs: str, **limits: int) -> Collected:
    job = Job(id="job", command=command, outputs=outputs, output_limits=OutputLimits(**limits))
    run(machine.host.start(job, boot_id=machine.boot()))
    machine.wait_for("job")
    return run(machine.host.collect(job, into))


def test_outputs_and_log_come_home_under_their_own_names(machine: LocalMachine, tmp_path: Path) -> None:
    names = ["out/a b", "out/deep/er/c", "out/-rf", "out/'q\"`$(id)\\x", "out/ž", "out/.hidden", "out/" + "n" * 200]
    script = """
    mkdir -p out/deep/er other; echo x > other/x; echo said
    while IFS= read -r name; do printf %s "$name" > "$name"; done < ~/names
    """
    (machine.home / "names").write_text("\n".join(names) + "\n")
    got = _collect(machine, tmp_path / "into", script, "out/**")
    assert got.outputs == tuple(sorted(names))
    assert got.refused == ()
    assert got.bytes == sum(len(name.encode()) for name in names)
    assert {name: (tmp_path / "into" / name).read_text() for name in names} == {name: name for name in names}
    assert got.log.read_text() == "said\n"
    assert not (tmp_path / "into/other").exists()


def test_what_is_no_regular_file_stays_and_is_named(machine: LocalMachine, tmp_path: Path) -> None:
    script = """
    mkdir out; cd out; echo good > good; ln -s /etc/passwd link; ln -s . loop; mkfifo fifo
    printf x > "$(printf 'line\\nend')"; printf x > "$(printf 'esc\\033[31m')"; ln -s /etc dir; ln good second
    """
    got = _collect(machine, tmp_path / "into", script, "out/**", "log")
    assert set(got.outputs) == {"out/good", "out/second"}
    assert set(got.refused) == {
        "out/link: a link",
        "out/loop: a link",
        "out/dir: a link",
        "out/fifo: a FIFO",
        "out/line?end: a control character in its name",
        "out/esc?[31m: a control character in its name",
    }
    assert (tmp_path / "into/out/second").read_text() == "good\n"
    assert all(path.is_file() or path.is_dir() for path in (tmp_path / "into").rglob("*") if not path.is_symlink())
    assert not [path for path in (tmp_path / "into").rglob("*") if path.is_symlink()]


def test_an_output_called_log_is_refused(machine: LocalMachine, tmp_path: Path) -> None:
    got = _collect(machine, tmp_path / "into", "echo said; echo forged > log; echo ok > ok", "*")
    assert (got.outputs, got.refused) == (("ok",), ("log: its name is taken by the job's log",))
    assert got.log.read_text() == "said\n"


def test_a_sparse_giant_is_refused_unread(machine: LocalMachine, tmp_path: Path) -> None:
    script = "echo ok > a; dd if=/dev/zero of=giant bs=1 count=1 seek=10737418240 2>/dev/null"
    got = _collect(machine, tmp_path / "into", script, "*", bytes=1_000_000)
    assert got.outputs == ("a",)
    assert got.refused == ("giant: over the limit of 1000000 bytes",)


def test_limits_keep_what_fits(machine: LocalMachine, tmp_path: Path) -> None:
    script = "for n in 1 2 3 4 5; do printf 12345 > f$n; done; printf '' > g"
    got = _collect(machine, tmp_path / "into", script, "*", bytes=12, files=3)
    assert got.outputs == ("f1", "f2", "g")
    assert len(got.refused) == 3


def test_many_files_come_in_batches_and_their_number_is_limited(machine: LocalMachine, tmp_path: Path) -> None:
    script = """
    mkdir many; n=0
    while [ $n -lt 20000 ]; do : > many/$((100000 + n)); n=$((n + 1)); done
    echo x > many/100000
    """
    got = _collect(machine, tmp_path / "into", script, "many/*", files=3_000)
    assert got.outputs == tuple(f"many/{100_000 + number}" for number in range(3_000))
    assert (tmp_path / "into/many/100000").read_text() == "x\n"
    assert got.refused[0] == "many/103000: over the limit of 3000 files"
    assert got.refused[-1] == "16900 more: not listed"
    assert len(got.refused) == 101


def test_what_the_job_made_unreadable_comes_home(machine: LocalMachine, tmp_path: Path) -> None:
    got = _collect(machine, tmp_path / "into", "mkdir out; echo x > out/x; chmod 0 out/x; chmod 100 out", "out/")
    assert got.outputs == ("out/x",)


def test_a_job_without_outputs_brings_its_log(machine: LocalMachine, tmp_path: Path) -> None:
    got = _collect(machine, tmp_path / "into", "echo only")
    assert (got.outputs, got.refused, got.bytes) == ((), (), 0)
    assert got.log.read_text() == "only\n"


def test_a_job_that_never_came_has_an_empty_log(machine: LocalMachine, tmp_path: Path) -> None:
    run(machine.host.kill("never"))
    got = run(machine.host.collect(Job(id="never", command=""), tmp_path / "into"))
    assert got.log.read_text() == ""


def test_a_log_replaced_by_a_link_leads_nowhere(machine: LocalMachine, tmp_path: Path) -> None:
    got = _collect(machine, tmp_path / "into", "rm ../log; ln -s /etc/passwd ../log")
    assert not got.log.is_symlink()
    assert got.log.read_text() == ""


def test_a_long_log_comes_as_head_and_tail(machine: LocalMachine, tmp_path: Path) -> None:
    half = 32 * 1024**2
    script = "echo first; dd if=/dev/zero bs=65536 count=1100 2>/dev/null | tr '\\000' 'x'; echo; echo last"
    got = _collect(machine, tmp_path / "into", script)
    written = 6 + 65536 * 1100 + 1 + 5
    text = got.log.read_text()
    assert text.startswith("first\nxxx")
    assert text.endswith("x\nlast\n")
    assert f"\n[{written - 2 * half} bytes of the log are left out here]\n" in text


def test_collecting_twice_gives_the_same_and_never_mixes(machine: LocalMachine, tmp_path: Path) -> None:
    first = _collect(machine, tmp_path / "one", "echo x > x", "x")
    job = Job(id="job", command="", outputs=("x",))
    assert run(machine.host.collect(job, tmp_path / "two")).outputs == first.outputs
    with pytest.raises(UnstorableError, match="not empty"):
        run(machine.host.collect(job, tmp_path / "two"))


def test_what_was_forgotten_cannot_be_collected(machine: LocalMachine, tmp_path: Path) -> None:
    _collect(machine, tmp_path / "one", "echo x > x", "x")
    run(machine.host.forget("job"))
    with pytest.raises(HostRefusedError, match="forgotten"):
        run(machine.host.collect(Job(id="job", command=""), tmp_path / "two"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this computer lets us have one."""
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid()
        or shutil.which("mount") is None
        or os.system(f"mount -t tmpfs -o size=1m tmpfs {place} 2>/dev/null")
    ):
        pytest.skip("needs root and mount, for a disk that is full")
    yield place
    os.system(f"umount -l {place}")


def test_a_full_disk_of_ours_is_unstorable(machine: LocalMachine, tmp_path: Path, small_disk: Path) -> None:
    job = Job(id="job", command="dd if=/dev/zero of=big bs=65536 count=32 2>/dev/null", outputs=("big",))
    run(machine.host.start(job, boot_id=machine.boot()))
    machine.wait_for("job")
    with pytest.raises(UnstorableError, match="No space left"):
        run(machine.host.collect(job, small_disk / "into"))
    assert run(machine.host.collect(job, tmp_path / "into")).outputs == ("big",)


def test_a_job_that_fills_its_machines_disk_still_ends(machine: LocalMachine, tmp_path: Path, small_disk: Path) -> None:
    jobs = small_disk / "jobs"
    jobs.mkdir()
    machine.jobs().symlink_to(jobs)
    job = Job(id="job", command="echo x > x; cat /dev/zero > big; exit 5", outputs=("x",))
    run(machine.host.start(job, boot_id=machine.boot()))
    assert machine.wait_for("job").exit_code == 5
    assert run(machine.host.collect(job, tmp_path / "into")).outputs == ("x",)
    run(machine.host.forget("job"))
    assert sum(path.stat().st_size for path in (jobs / "job").iterdir()) < 10_000


def test_an_upload_that_does_not_fit_is_refused(machine: LocalMachine, tmp_path: Path, small_disk: Path) -> None:
    (machine.home / ".reconciler/uploads").symlink_to(small_disk)
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(bytes(5_000_000))
    with pytest.raises(HostRefusedError, match="disk is full"):
        run(machine.host.start(Job(id="job", command="true", folder=source), boot_id=machine.boot()))
    assert machine.report().jobs == {}


def test_a_link_in_the_place_of_a_folder_of_outputs_is_named(machine: LocalMachine, tmp_path: Path) -> None:
    script = "ln -s /etc out; mkdir real; echo 1 > real/x; ln -s real other; ln -s real loose"
    got = _collect(machine, tmp_path / "into", script, "out/**", "real/*", "other/deep/*.csv", "*/x")
    assert got.outputs == ("real/x",)
    assert set(got.refused) == {
        "other: a link, where a folder was to be", "out: a link, where a folder was to be",
    }  # fmt: skip
