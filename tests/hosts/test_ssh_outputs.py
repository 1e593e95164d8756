"""The tests of outputs once more, over ssh: what other people's files do to a real connection, and what they do not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.job import Job
from tests.hosts.machines import LocalMachine, run, ssh_host
from tests.hosts.test_agent_outputs import (  # noqa: F401 (collected here too, over this file's machine)
    test_a_log_replaced_by_a_link_leads_nowhere,
    test_a_long_log_comes_as_head_and_tail,
    test_a_sparse_giant_is_refused_unread,
    test_an_output_called_log_is_refused,
    test_collecting_twice_gives_the_same_and_never_mixes,
    test_limits_keep_what_fits,
    test_many_files_come_in_batches_and_their_number_is_limited,
    test_outputs_and_log_come_home_under_their_own_names,
    test_what_is_no_regular_file_stays_and_is_named,
    test_what_the_job_made_unreadable_comes_home,
    test_what_was_forgotten_cannot_be_collected,
)
from tests.machines.sshd import machine as booted
from tests.machines.sshd import need_machines


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[LocalMachine]:
    need_machines()
    with booted(folder=tmp_path / "machine") as there:
        host = ssh_host(there)
        run(host.install())
        yield LocalMachine(host, there.home, there.address, there.folder / "boot_id", {})
        run(host.close())


def test_three_hundred_small_files_go_and_come_home(machine: LocalMachine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(300):
        (source / f"f{number}").write_text(f"{number}\n" * number)
    job = Job(id="a", command="mkdir out && cp f* out", folder=source, outputs=("out/**",))
    run(machine.host.start(job, boot_id=machine.boot()))
    assert machine.wait_for("a").exit_code == 0
    got = run(machine.host.collect(job, tmp_path / "into"))
    assert len(got.outputs) == 300
    for number in range(300):
        assert (tmp_path / f"into/out/f{number}").read_text() == f"{number}\n" * number
