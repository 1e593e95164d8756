"""A machine that shows another host key than it should gets nothing from us, and people are told."""

from pathlib import Path

import pytest

from tests.machines.sshd import new_key
from tests.security.deployment import Deployment, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]


def written(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def error_of(deployment: Deployment, instance: str) -> str:
    told = deployment.told("show", instance)["explained"]
    return " ".join(each["text"] for each in told if each["what"] == "last error")


def test_a_machine_whose_key_changed_gets_nothing_more(deployment: Deployment) -> None:
    deployment.pool("cpu", deployment.machines(), size={"t3.micro": 1})
    work = deployment.submission("work", "mkdir out; echo sent > out/x")
    with deployment.running():
        (row,) = eventually(lambda: [each for each in deployment.told("instances") if each["state"] == "ready"])
        there = deployment.only_machine()
        there.stop()
        for path in sorted(there.home.rglob("*"), reverse=True):  # the impostor's disk is empty
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        there.change_host_key(new_key())
        there.start()
        deployment.submit(work)
        said = eventually(lambda: "host key" in (text := error_of(deployment, row["id"])) and text)
        assert "changed" in said
        assert "nothing more is sent to it" in said
        assert b"changed" in deployment.run("instances").stdout
        assert deployment.outcomes()["work"][0] != "succeeded"
    assert written(there.home) == []


def unfolded(deployment: Deployment) -> bytes:
    """What `instances` prints, whatever the width of the page."""
    return b" ".join(deployment.run("instances").stdout.split())


def test_a_machine_that_never_had_the_key_that_we_know_gets_nothing(deployment: Deployment, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"* {new_key().export_public_key().decode()}")
    deployment.pool("cpu", deployment.machines(known_hosts=str(known)), size={"t3.micro": 1})
    with deployment.running():
        there = deployment.only_machine()
        said = eventually(lambda: b"nothing is sent to it" in (told := unfolded(deployment)) and told)
        assert b"does not have the host key" in said
        assert [each["state"] for each in deployment.told("instances")] == ["booting"]
    assert written(there.home) == []
