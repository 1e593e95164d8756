"""Frozen specs come back as they were, equal ones look equal, and the fingerprint sees what makes a machine."""

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.job import OutputLimits
from reconciler.model.offer import Market
from reconciler.spec.canonical import (
    UnreadableSpec,
    content_hash,
    from_json,
    pool_from_json,
    pool_to_json,
    settings_from_json,
    settings_to_json,
    spec_hash,
    to_json,
)
from reconciler.spec.options import LocalCloud, Ramp, Script
from reconciler.spec.values import Choice, Deadlines, Idle, Pool, Retries, Size, SubmissionOptions

seconds = st.one_of(st.integers(0, 10**6), st.floats(0, 10**6))
text = st.text(st.characters(codec="utf-8"), max_size=20)
paths = text.filter(lambda name: "\0" not in name).map(lambda name: Path("/x", name))
tries = st.none() | st.integers(0, 99)
clouds = st.builds(LocalCloud, folder=st.none() | paths, boot=seconds, capacity=st.none() | st.integers(0, 9))
scripts = st.builds(Script, command=text, outputs=st.lists(text).map(tuple))
ramps = st.builds(Ramp, kit=text, memory_profiling=st.booleans(), command=st.none() | text, data=st.none() | text)
sizes = st.builds(Size, low=st.integers(0, 9), high=st.integers(9, 99))
pools = st.builds(
    Pool,
    pool=text,
    cloud=st.builds(Choice, kind=st.just("local"), settings=clouds),
    size=st.dictionaries(text, sizes, max_size=4),
    workload=st.builds(Choice, kind=st.just("script"), settings=scripts)
    | st.builds(Choice, kind=st.just("ramp"), settings=ramps),
    market=st.permutations(list(Market)).map(tuple),
    slots=st.integers(1, 9),
    files=st.dictionaries(paths, text, max_size=3),
    setup=st.lists(text, max_size=3).map(tuple),
    env=st.dictionaries(text, text, max_size=3),
    idle=st.builds(Idle, terminate=seconds, stop=st.none() | seconds),
    deadlines=st.builds(Deadlines, run=seconds, boot=seconds),
    retries=st.builds(Retries, exit_code=tries, evicted=tries),
    outputs=st.builds(OutputLimits, bytes=st.integers(1, 2**60)),
    source=paths,
)


def pool(**more):
    given = {
        "pool": "cpu",
        "cloud": Choice(kind="local", settings=LocalCloud()),
        "size": {"a": Size(low=0, high=3)},
        "workload": Choice(kind="script", settings=Script(command="sh run.sh")),
    }
    return Pool(**{**given, **more})


@given(pools)
def test_a_pool_comes_back_as_it_was(value):
    back = pool_from_json(pool_to_json(value))
    assert back == value
    assert back.source == value.source
    assert list(back.size.items()) == list(value.size.items())
    assert pool_to_json(back) == pool_to_json(value)


def test_equal_values_look_equal():
    one = pool(env={"A": "1", "B": "2"}, deadlines=Deadlines(run=5))
    other = pool(env={"B": "2", "A": "1"}, deadlines=Deadlines(run=5.0))
    assert one == other
    assert pool_to_json(one) == pool_to_json(other)


def test_the_order_of_types_is_kept():
    two = {"a": Size(low=0, high=1), "b": Size(low=0, high=1)}
    assert pool_to_json(pool(size=two)) != pool_to_json(pool(size=dict(reversed(two.items()))))


def test_settings_and_options_come_back():
    settings = LocalCloud(folder=Path("/m"), boot=1.5)
    assert settings_from_json(settings_to_json(Choice(kind="local", settings=settings)), LocalCloud) == settings
    options = SubmissionOptions(pool="cpu", instance_types=("a", "b"), limit=5.0, env={"A": "x"})
    assert from_json(to_json(options), SubmissionOptions) == options


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: {**row, "new_key": 1},
        lambda row: {**row, "slots": "many"},
        lambda row: {**row, "cloud": {"kind": "moon", "settings": {}}},
        lambda row: {**row, "size": [["a", 1]]},
        lambda row: {key: value for key, value in row.items() if key != "pool"},
        lambda row: [row],
        lambda row: None,
    ],
)
def test_what_this_version_cannot_read_is_told_so(damage):
    text = json.dumps(damage(json.loads(pool_to_json(pool()))))
    with pytest.raises(UnreadableSpec, match="Pool cannot be read"):
        pool_from_json(text)


def test_damaged_json_is_told_so():
    for text in ("", "{", "[" * 100_000):
        with pytest.raises(UnreadableSpec):
            pool_from_json(text)


SAME_MACHINE = [
    {"size": {"b": Size(low=9, high=9)}},
    {"idle": Idle(terminate=1.0)},
    {"deadlines": Deadlines(run=1.0)},
    {"retries": Retries(lost=0)},
    {"env": {"A": "1"}},
    {"slots": 4},
    {"pool": "other"},
    {"workload": Choice(kind="ramp", settings=Ramp(kit="~/kit"))},
    {"cloud": Choice(kind="local", settings=LocalCloud(boot=5.0, capacity=1, delay=1.0))},
]
OTHER_MACHINE = [
    {"cloud": Choice(kind="local", settings=LocalCloud(folder=Path("/elsewhere")))},
    {"setup": ("make",)},
]


@pytest.mark.parametrize("change", SAME_MACHINE)
def test_what_changes_no_machine_changes_no_fingerprint(change):
    assert spec_hash(pool(**change)) == spec_hash(pool())


@pytest.mark.parametrize("change", OTHER_MACHINE)
def test_what_makes_another_machine_changes_the_fingerprint(change):
    assert spec_hash(pool(**change)) != spec_hash(pool())


def test_the_order_of_setup_lines_counts():
    assert spec_hash(pool(setup=("a", "b"))) != spec_hash(pool(setup=("b", "a")))


def test_files_count_by_content_and_not_by_path(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "file").write_text("x")
        (tmp_path / name / "link").symlink_to("sub")
    one, two = (pool(files={tmp_path / name: "~/kit"}) for name in ("one", "two"))
    before = spec_hash(one)
    assert spec_hash(two) == before
    assert spec_hash(attrs.evolve(one, files={tmp_path / "one": "~/elsewhere"})) != before
    assert spec_hash(one, hash_content=lambda path: "given") != before
    (tmp_path / "two" / "sub" / "file").write_text("y")
    assert spec_hash(two) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "file").write_text("y"),
        lambda root: (root / "file").rename(root / "other"),
        lambda root: (root / "file").chmod(0o755),
        lambda root: (root / "new").mkdir(),
        lambda root: (root / "link").symlink_to("file"),
    ],
)
def test_every_change_of_a_folder_is_seen(tmp_path, change):
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o644)
    before = content_hash(tmp_path)
    assert content_hash(tmp_path) == before
    change(tmp_path)
    assert content_hash(tmp_path) != before


def test_a_missing_file_is_an_error_and_no_fingerprint(tmp_path):
    with pytest.raises(FileNotFoundError):
        spec_hash(pool(files={tmp_path / "gone": "~/kit"}))
