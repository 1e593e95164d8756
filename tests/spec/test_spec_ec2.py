"""What a pool file may say of EC2: secrets by reference alone, paths made absolute, files that count by content."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from reconciler.model.job import OutputLimits
from reconciler.spec.canonical import pool_from_json, pool_to_json, settings_to_json, spec_hash
from reconciler.spec.errors import SpecError
from reconciler.spec.loader import load_pool
from reconciler.spec.options import Ec2Cloud
from reconciler.spec.places import place
from reconciler.spec.values import Config, Pool

SCHEMA = json.loads((Path(__file__).parents[2] / "specs" / "pool.schema.json").read_text())
SECRETS = {"KEY_ID": "AKIAVERYSECRET", "KEY": "wJalrXUtnFEMI", "TOKEN": "session-token"}
LIMITS = OutputLimits()


def text(more: str = "", region: str = "eu-west-1") -> str:
    head = "pool: cpu\nsize: {c5.large: 1}\nworkload: {script: {command: ls}}\ncloud:\n  ec2:\n"
    return f"{head}    region: {region}\n" + "".join(f"    {line}\n" for line in more.splitlines())


def load(folder: Path, more: str = "", environ: dict[str, str] = SECRETS) -> Pool:
    (folder / "cpu.yml").write_text(text(more))
    return load_pool(folder / "cpu.yml", environ=environ)


def settings(pool: Pool) -> Ec2Cloud:
    assert isinstance(pool.cloud.settings, Ec2Cloud)
    return pool.cloud.settings


GOOD = [
    "image: iris_backend\nowners: [self, '123456789012']\n",
    "owners: amazon\nsecurity_group: ramp\nsubnets: [subnet-1, subnet-2]\nzones: eu-west-1a\n",
    "via: me@bastion.example:2222\naddress: private\nport: 2222\nknown_hosts: ~/.ssh/known_hosts\n",
    "volume_size: 80\nvolume_type: gp3\nmax_price: 0.12\nprices: {c5.large: 1, m5.large: 0.096}\n",
    "tags: {team: a b, 'cost:centre': ''}\nendpoint_url: http://127.0.0.1:5000\nmetadata: http://[fd00:ec2::254]\n",
    "access_key_id: ${KEY_ID}\nsecret_access_key: ${KEY}\nsession_token: ${TOKEN}\nlease: 2h\nkeep_results: 2d\n",
]
BAD = [
    ("access_key_id: AKIAVERYSECRET", "a secret does not belong in a file; write ${NAME} and export NAME"),
    ("secret_access_key: x${KEY}", "a secret does not belong in a file"),
    ("secret_access_key: ${KEY}${KEY}", "a secret does not belong in a file"),
    ("secret_access_key: $${KEY}", "a secret does not belong in a file"),
    ("address: both", "'both' is not one of them"),
    ("via: 'a b'", "not a host to log in to"),
    ("via: -oProxyCommand=x", "not a host to log in to"),
    ("tags: {'aws:x': y}", "cannot be the name of a tag"),
    ("tags: {'reconciler:controller': y}", "cannot be the name of a tag"),
    ("max_price: cheap", "not a price"),
    ("max_price: 0", "not what a machine costs"),
    ("max_price: .nan", "not what a machine costs"),
    ("endpoint_url: localhost:5000", "not the address of a service"),
    ("endpoint_url: http://me:secret@host/", "not the address of a service"),
    ("zones: []", "the list is empty"),
    ("zones: [a, a]", "names one twice"),
    ("port: 0", "out of range"),
    ("volume_size: 80GiB", "not a whole number"),
    ("imagee: x", "did you mean image?"),
]


@pytest.mark.parametrize("more", GOOD)
def test_what_people_may_say_loads_validates_and_survives_its_row(tmp_path: Path, more: str) -> None:
    pool = load(tmp_path, more)
    assert pool_from_json(pool_to_json(pool)).cloud == pool.cloud
    given = YAML(typ="safe", pure=True).load(text(more))
    assert list(Draft202012Validator(SCHEMA).iter_errors(given)) == []


@pytest.mark.parametrize(("more", "said"), BAD)
def test_what_people_may_not_say_is_refused_in_its_place(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(SpecError) as refusal:
        load(tmp_path, more)
    assert said in str(refusal.value)
    assert "cpu.yml:7:" in str(refusal.value)
    assert not any(secret in str(refusal.value) for secret in (*SECRETS.values(), "me:secret"))


def test_a_variable_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    for environ, said in (({}, "the environment has no KEY"), ({"KEY": ""}, "${KEY} is empty")):
        with pytest.raises(SpecError) as refusal:
            load(tmp_path, "secret_access_key: ${KEY}", environ)
        assert said in str(refusal.value)
        assert len(refusal.value.problems) == 1


def test_only_the_names_of_secrets_are_kept(tmp_path: Path) -> None:
    pool = load(tmp_path, GOOD[-1])
    config = Config(controller="iris", pools=tmp_path)
    texts = [pool_to_json(pool), settings_to_json(pool.cloud), place(pool, config).settings, repr(pool)]
    assert not any(secret in text for text in texts for secret in SECRETS.values())
    assert json.loads(place(pool, config).settings) == {
        "region": "eu-west-1", "profile": None, "endpoint_url": None, "access_key_id": "${KEY_ID}",
        "secret_access_key": "${KEY}", "session_token": "${TOKEN}",
    }  # fmt: skip


def test_paths_are_absolute_and_one_text_is_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "boot.sh").write_text("#!/bin/sh\n")
    found = settings(load(tmp_path, "key_path: keys/a.pem\nuser_data: boot.sh\nsecurity_group: ramp"))
    assert found.key_path == tmp_path / "keys" / "a.pem"
    assert found.user_data == tmp_path / "boot.sh"
    assert (found.security_group, found.owners) == (("ramp",), ("self",))


@pytest.mark.parametrize("key", ["user_data", "launch_specification"])
def test_a_files_content_counts_and_not_its_path(tmp_path: Path, key: str) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("one")
    first = spec_hash(load(tmp_path, f"{key}: a"))
    assert spec_hash(load(tmp_path, f"{key}: b")) == first
    (tmp_path / "b").write_text("two")
    assert spec_hash(load(tmp_path, f"{key}: b")) != first
    with pytest.raises(SpecError, match="there is no file"):
        load(tmp_path, f"{key}: c")


@pytest.mark.parametrize(
    ("more", "drifts"),
    [
        ("image: other", True),
        ("user: admin", True),
        ("security_group: other", True),
        ("volume_size: 9", True),
        ("zones: eu-west-1b", False),
        ("key_path: x.pem", False),
        ("prices: {c5.large: 0.1}", False),
        ("lease: 3h", False),
        ("tags: {a: b}", False),
        ("access_key_id: ${KEY}", False),
    ],
)
def test_what_makes_a_machine_what_it_is(tmp_path: Path, more: str, drifts: bool) -> None:
    assert (spec_hash(load(tmp_path, more)) != spec_hash(load(tmp_path))) is drifts


def test_a_price_may_come_from_the_environment(tmp_path: Path) -> None:
    found: Any = settings(load(tmp_path, "max_price: ${CAP}", {"CAP": "0.5"}))
    assert found.max_price == 0.5
