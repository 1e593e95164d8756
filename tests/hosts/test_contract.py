"""What every host promises, whatever the way in. A new way in is one more entry in HOSTS."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from reconciler.hosts.agent import AgentHost, agent_script
from reconciler.hosts.base import Host, HostRefusedError
from reconciler.hosts.local import local_host
from reconciler.model.job import Job, JobReport, JobState, Report
from tests.hosts.machines import run, ssh_host
from tests.machines.sshd import machine, need_machines


@contextmanager
def _local(home: Path) -> Iterator[AgentHost]:
    home.mkdir()
    made = local_host(home, f"test-{uuid.uuid4()}")
    yield made
    run(made.install())
    run(made.kill_all())
    run(made.close())


@contextmanager
def _ssh(home: Path) -> Iterator[AgentHost]:
    need_machines()
    with machine(home=home) as there:
        made = ssh_host(there)
        yield made
        run(made.close())


HOSTS: dict[str, Callable[[Path], AbstractContextManager[AgentHost]]] = {"local": _local, "ssh": _ssh}


@pytest.fixture(params=sorted(HOSTS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AgentHost]:
    with HOSTS[request.param](tmp_path / "home") as made:
        yield made


async def _over(host: Host, job: str) -> JobReport:
    report = await host.report()
    while not report.jobs[job].over:
        report = await host.report(wait=5, mark=report.mark)
    return report.jobs[job]


def test_a_bare_machine_says_who_it_is_and_refuses_jobs(host: Host) -> None:
    report = run(host.report())
    assert report == Report(boot_id=report.boot_id, uptime=report.uptime, agent="", host_key=report.host_key)
    assert report.boot_id
    with pytest.raises(HostRefusedError, match="not installed"):
        run(host.start(Job(id="a", command="true"), boot_id=report.boot_id))


def test_installing_is_repeatable_and_replaces_another_version(host: Host, tmp_path: Path) -> None:
    run(host.install())
    (tmp_path / "home/.reconciler/agent").write_text("echo old\n")
    for _ in range(2):
        run(host.install())
        assert run(host.report()).agent == agent_script()[0]


def test_a_job_from_upload_to_results(host: Host, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "run.sh").write_text("#!/bin/sh\nmkdir out; cp data out/copy; echo $NUMBER\n")
    (source / "run.sh").chmod(0o755)
    (source / "data").write_bytes(bytes(range(256)) * 20_000)
    (source / "alias").symlink_to("data")
    job = Job(id="a", command="./run.sh; cmp data alias", folder=source, env={"NUMBER": "7"}, outputs=("out/**",))

    async def story() -> None:
        await host.install()
        boot_id = (await host.report()).boot_id
        started = await host.start(job, boot_id=boot_id)
        assert started.state in JobState
        assert (await _over(host, "a")).exit_code == 0
        got = await host.collect(job, tmp_path / "into")
        assert got.outputs == ("out/copy",)
        assert got.log.read_text() == "7\n"
        assert (tmp_path / "into/out/copy").read_bytes() == (source / "data").read_bytes()
        await host.forget("a")
        assert (await host.report()).jobs == {}

    run(story())


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: (folder / "out").symlink_to("/etc/passwd"), "link that leads outside"),
        (lambda folder: (folder / "none").symlink_to("nowhere"), "link that leads outside"),
    ],
    ids=["outside", "dangling"],
)
def test_a_folder_with_links_that_lead_out_is_refused(
    host: Host, tmp_path: Path, prepare: Callable[[Path], None], words: str
) -> None:
    (tmp_path / "source").mkdir()
    prepare(tmp_path / "source")
    run(host.install())
    boot_id = run(host.report()).boot_id
    with pytest.raises(HostRefusedError, match=words):
        run(host.start(Job(id="a", command="true", folder=tmp_path / "source"), boot_id=boot_id))
    assert run(host.report()).jobs == {}


@pytest.mark.parametrize("job", [{"env": {"A-B": "x"}}, {"env": {"A": "x\0y"}}, {"outputs": ("/etc/*",)}])
def test_jobs_that_no_host_can_run_are_refused(host: Host, job: dict[str, object]) -> None:
    run(host.install())
    boot_id = run(host.report()).boot_id
    with pytest.raises(HostRefusedError):
        run(host.start(Job(id="a", command="true", **job), boot_id=boot_id))
    assert run(host.report()).jobs == {}


def test_files_and_folders_are_put_and_put_again(host: Host, tmp_path: Path) -> None:
    (tmp_path / "kit/deep").mkdir(parents=True)
    (tmp_path / "kit/deep/a b").write_text("one")
    (tmp_path / "single").write_text("two")
    files = {tmp_path / "kit": "~/tools/kit", tmp_path / "single": "~/tools/other name"}
    for text in ("one", "three"):
        (tmp_path / "kit/deep/a b").write_text(text)
        run(host.put(files))
        assert (tmp_path / "home/tools/kit/deep/a b").read_text() == text
    assert (tmp_path / "home/tools/other name").read_text() == "two"
    run(host.put({tmp_path / "kit": "~"}))
    assert (tmp_path / "home/deep/a b").read_text() == "three"


@pytest.mark.parametrize("target", ["~/../out", "/tmp/out", "../out"])
def test_nothing_is_put_outside_a_local_machine(tmp_path: Path, target: str) -> None:
    (tmp_path / "single").write_text("two")
    with _local(tmp_path / "home") as host, pytest.raises(HostRefusedError, match="home"):
        run(host.put({tmp_path / "single": target}))


@pytest.mark.parametrize("target", ["~/../out", "../out"])
def test_nothing_is_put_upwards(host: Host, tmp_path: Path, target: str) -> None:
    (tmp_path / "single").write_text("two")
    with pytest.raises(HostRefusedError, match="home"):
        run(host.put({tmp_path / "single": target}))


def test_what_is_not_there_cannot_be_put(host: Host, tmp_path: Path) -> None:
    with pytest.raises(HostRefusedError, match="no such file"):
        run(host.put({tmp_path / "missing": "~/x"}))
