"""The JSON Schema files are what the classes say, and they agree with the loader."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from reconciler.spec import schema
from reconciler.spec.errors import SpecError
from reconciler.spec.forms import Form, keys_of
from reconciler.spec.loader import load_pool
from reconciler.spec.options import KINDS
from reconciler.spec.structure import FORMS, WHOLES
from tests.spec.spec_examples import BAD, GOOD, load

SPECS = Path(__file__).parents[2] / "specs"
READY = sorted(SPECS.glob("*.yml"))


def validator(kind):
    return Draft202012Validator(json.loads((SPECS / f"{kind}.schema.json").read_text()))


@pytest.mark.parametrize("kind", schema.FILES)
def test_the_files_are_what_is_generated(tmp_path, kind):
    assert schema.main([str(tmp_path)]) == 0
    name = f"{kind}.schema.json"
    assert (SPECS / name).read_text() == (tmp_path / name).read_text(), "run: python -m reconciler.spec.schema specs/"


@pytest.mark.parametrize("kind", schema.FILES)
def test_each_is_a_schema_and_describes_every_key(kind):
    found = json.loads((SPECS / f"{kind}.schema.json").read_text())
    Draft202012Validator.check_schema(found)
    assert found["title"]
    assert all(each["description"] for each in found["properties"].values())


def test_every_key_of_every_class_says_what_it_is():
    options = [*KINDS.clouds.values(), *KINDS.workloads.values()]
    for cls in [cls for cls, _ in schema.FILES.values()] + options:
        assert all(key.about for key in keys_of(cls).values()), cls


def test_every_form_is_read():
    assert set(Form) == {*FORMS, *WHOLES, Form.CLOUD, Form.WORKLOAD}


def test_the_generator_wants_a_folder():
    told = []
    assert schema.main([], told.append) == 2
    assert "usage" in told[0]


@pytest.mark.parametrize(("kind", "text"), GOOD)
def test_what_loads_validates(kind, text):
    assert list(validator(kind).iter_errors(YAML(typ="safe", pure=True).load(text))) == []


@pytest.mark.parametrize(("kind", "text"), [row[:2] for row in BAD])
def test_what_does_not_load_does_not_validate(tmp_path, kind, text):
    assert list(validator(kind).iter_errors(YAML(typ="safe", pure=True).load(text)))
    (tmp_path / "file.yml").write_text(text)
    with pytest.raises(SpecError):
        load(kind, tmp_path / "file.yml")


@pytest.mark.parametrize("file", READY, ids=lambda file: file.name)
def test_ready_spec_files_load_and_validate(file):
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=pool.schema.json\n")
    assert load_pool(file, environ={}).pool == file.stem
    assert list(validator("pool").iter_errors(YAML(typ="safe", pure=True).load(text))) == []


def test_there_are_ready_spec_files():
    assert {"local.yml", "ramp-local.yml"} <= {file.name for file in READY}
