"""Quotes, `$( )`, backticks and line ends in every configured string: none of it is executed, and it arrives whole."""

import base64
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from tests.security.deployment import Deployment

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

Requests = list[dict[str, str]]


def evils(canary: Path) -> dict[str, str]:
    """Texts of which any part makes a file where it is executed."""
    touch = f"touch {canary}/executed"
    return {
        "dollars": f"a$({touch})$IFS$HOME",
        "backticks": f"b`{touch}`",
        "quotes": f"c'; {touch}; 'd\"; {touch}; \"e",
        "lines": f"f\n{touch}\n\tg\\",
        "signs": f"h;{touch}&{touch}|id #*?[x] ~ !",
    }


KINDS = sorted(evils(Path()))


def values(requests: Requests, action: str, key: str) -> set[str]:
    """What a parameter said in all requests of an action; `key` is a pattern."""
    asked = (each for each in requests if each.get("Action") == action)
    return {value for each in asked for name, value in each.items() if re.fullmatch(key, name)}


def user_of(requests: Requests) -> set[str]:
    """Who the machines' first script thinks logs in, by a shell's own reading of its first line."""
    found = set()
    for text in values(requests, "RunInstances", "UserData"):
        message = message_from_string(base64.b64decode(text).decode())
        script = next(part.get_payload(decode=True) for part in message.walk() if "boothook" in part.get_content_type())
        assert isinstance(script, bytes)
        first = script.decode().partition("# Ends this machine")[0]
        told = subprocess.run(["sh", "-c", f'{first}\nprintf %s "$2"'], capture_output=True, check=True)
        found.add(told.stdout.decode())
    return found


# Setting → how it is given, and where it has to arrive.
SETTINGS: Mapping[str, tuple[Callable[[str], Any], Callable[[Requests], set[str]]]] = {
    "image": (lambda text: text, lambda asked: {each.removesuffix("*") for each in values(
        asked, "DescribeImages", r"Filter\.1\.Value\.1")}),
    "owners": (lambda text: [text], lambda asked: values(asked, "DescribeImages", r"Owner\.1")),
    "key_name": (lambda text: text, lambda asked: values(asked, "RunInstances", "KeyName")),
    "security_group": (
        lambda text: [text], lambda asked: values(asked, "DescribeSecurityGroups", r"Filter\.\d\.Value\.\d")),
    "instance_profile": (lambda text: text, lambda asked: values(asked, "RunInstances", r"IamInstanceProfile\.Name")),
    "tags": (lambda text: {"t": text}, lambda asked: values(asked, "RunInstances", r"TagSpecification\..*\.Value")),
    "user": (lambda text: text, user_of),
    "volume_type": (lambda text: text, lambda asked: values(asked, "RunInstances", r".*VolumeType")),
    "zones": (lambda text: [text], lambda asked: values(asked, "RunInstances", r"Placement\.AvailabilityZone")),
}  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_ec2_is_told(deployment: Deployment, canary: Path, setting: str) -> None:
    given, arrived = SETTINGS[setting]
    cloud = deployment.cloud if setting == "zones" else deployment.machines
    wanted = evils(canary)
    for kind, text in wanted.items():
        settings = {} if setting != "zones" else {"image": deployment.fleet.ec2.image(kind)}
        if setting == "owners":
            settings["image"] = "by-name"
        deployment.pool(kind, cloud(**settings, **{setting: given(text)}), size={"t3.micro": 1})
    deployment.fleet.ec2.clear()
    told = deployment.run("--once", "-v")
    assert b"Traceback" not in told.stderr, told.stderr.decode()
    assert told.returncode in (0, 3), told.stderr.decode()
    assert set(wanted.values()) <= arrived(deployment.fleet.ec2.requests())
    assert b"\n\ttouch" not in told.stdout
    for words in (("pools",), ("instances",), ("status",)):
        assert deployment.run(*words).returncode == 0


def test_what_machines_are_told(deployment: Deployment, canary: Path) -> None:
    wanted = evils(canary)
    quoted = {kind: shlex.quote(text) for kind, text in wanted.items()}
    names = {kind: text.replace("/", "_") for kind, text in wanted.items() if kind != "lines"}
    brought = deployment.folder / "$(touch x)' \"`id`"
    brought.write_text("brought")
    setup = [f"printf %s {text} > ~/setup-{kind}" for kind, text in quoted.items()]
    printed = [f'printf %s "${kind}" > out/env-{kind}; printf %s "$own_{kind}" > out/own-{kind}' for kind in wanted]
    command = "\n".join(
        ["mkdir out", *(f"printf %s {text} > out/command-{kind}" for kind, text in quoted.items()), *printed,
         "cp ~/setup-* out", "cp ~/brought/* out", 'for each in file-*; do cp "$each" out; done'],
    )  # fmt: skip
    deployment.pool(
        "cpu", deployment.machines(), env=wanted, setup=setup,
        files={str(brought): f"~/brought/{brought.name}"},
        workload={"script": {"command": command, "outputs": ["out/**"]}},
    )  # fmt: skip
    work = deployment.submission("work", "", {f"file-{text}": text.encode() for text in names.values()})
    own = [word for kind, text in wanted.items() for word in ("--env", f"own_{kind}={text}")]
    deployment.submit(work, *own)
    deployment.settle()
    assert deployment.outcomes() == {"work": ("succeeded", "")}
    out = deployment.home("work") / "out"
    for kind, text in wanted.items():
        found = {way: (out / f"{way}-{kind}").read_text() for way in ("setup", "command", "env", "own")}
        assert found == dict.fromkeys(found, text)
    for text in names.values():
        assert (out / f"file-{text}").read_text() == text
    assert (out / brought.name).read_text() == "brought"


@pytest.mark.parametrize("kind", KINDS)
def test_a_submission_cannot_be_called_so(deployment: Deployment, canary: Path, kind: str) -> None:
    deployment.pool("cpu", deployment.machines())
    work = deployment.submission("work", "true")
    told = deployment.run("submit", str(work), "--name", evils(canary)[kind])
    assert told.returncode == 2
    assert b"the name " in told.stderr or b"cannot name a submission" in told.stderr
    assert told.stderr.count(b"\n") == 1
    assert not (deployment.folder / "reconciler.db").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_variable_cannot_be_called_so(deployment: Deployment, canary: Path, kind: str) -> None:
    evil = evils(canary)[kind]
    deployment.pool("cpu", deployment.machines(), env={evil: "x"})
    told = deployment.run("--once")
    assert told.returncode == 2
    assert b"Traceback" not in told.stderr
    deployment.pool("cpu", deployment.machines())
    told = deployment.run("submit", str(deployment.submission("work", "true")), "--env", f"{evil}=x")
    assert told.returncode == 2
    assert b"Traceback" not in told.stderr
