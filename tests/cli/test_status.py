"""What the commands that look print: the shapes that programs rely on, and tables that people can read."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from jsonschema import validate

from reconciler.clouds.local import local_place
from reconciler.decide.sightings import scope_of
from reconciler.model.change import Replace, Step
from reconciler.model.rows import Event, Hold
from reconciler.store.store import Store
from tests.cli.cli_rows import POOL, Invoke
from tests.store.store_rows import attempt, born, fill, instance, move, submission

TEXT, NUMBER, MAYBE_TEXT = {"type": "string"}, {"type": "integer"}, {"type": ["string", "null"]}


def shape(**properties: Any) -> dict[str, Any]:
    """An object with exactly these keys."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


def many(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


SIZES = {"type": "object", "additionalProperties": shape(min=NUMBER, max=NUMBER, live=NUMBER)}
STATUS = shape(
    controller=TEXT,
    pools=many(shape(pool=TEXT, sizes=SIZES)),
    submissions=many(
        shape(
            id=TEXT, name=TEXT, pool=TEXT, state=TEXT, reason=TEXT, attempts=NUMBER,
            exit_code={"type": ["integer", "null"]}, instance=MAYBE_TEXT, results=MAYBE_TEXT,
        )
    ),
    instances=many(shape(id=TEXT, pool=TEXT, type=TEXT, cloud_id=MAYBE_TEXT, state=TEXT, reason=TEXT)),
)  # fmt: skip


@pytest.fixture
def lived_in(store: Store) -> Store:
    """One of everything: queued, running, failed; a machine that lives, one that is gone, one of no type any more."""
    now = time.time()
    fill(
        store,
        instance("m1", type="local", state="ready", cloud_id="local-1", since=now - 30),
        instance("m2", type="local", state="terminated", reason="idle", cloud_id="local-2"),
        instance("m3", type="gone", state="draining", reason="size", cloud_id="local-3"),
        submission("waits", since=now - 10),
        submission("runs", state="running", attempt_id="runs.1", attempts=1, since=now - 20),
        submission("broke", state="failed", attempt_id="broke.2", attempts=2, reason="exit code", since=now - 90,
                   message="exit code 3: \x1b[31m[bold]boom[/bold]"),
        attempt("runs", instance_id="m1"),
        attempt("broke", 2, instance_id="m2", closed=now, exit_code=3, results="broke/2", outcome="exit code"),
    )  # fmt: skip
    return store


def test_status_for_programs(invoke: Invoke, here: Path, lived_in: Store) -> None:
    told = invoke("status", "--json")
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    validate(found, STATUS)
    assert found["controller"] == "tests"
    assert found["pools"] == [
        {"pool": "cpu", "sizes": {"local": {"min": 0, "max": 2, "live": 1}, "gone": {"min": 0, "max": 0, "live": 1}}}
    ]
    by_name = {row["name"]: row for row in found["submissions"]}
    assert by_name["broke"] == {
        "id": "broke", "name": "broke", "pool": "cpu", "state": "failed", "reason": "exit code", "attempts": 2,
        "exit_code": 3, "instance": "m2", "results": str(here / "results" / "broke" / "2"),
    }  # fmt: skip
    assert (by_name["waits"]["instance"], by_name["waits"]["exit_code"], by_name["waits"]["results"]) == (None,) * 3
    assert {row["id"]: row["state"] for row in found["instances"]} == {
        "m1": "ready", "m2": "terminated", "m3": "draining"
    }  # fmt: skip


def test_why_something_never_runs_as_things_are(invoke: Invoke, store: Store) -> None:
    fill(store, submission("picky", types='["huge"]'), submission("lost", pool="gone"), submission("easy"))
    lines = {line.split()[0]: line for line in invoke("status").stdout.splitlines() if " queued " in line}
    assert "it names huge, and pool cpu" in lines["picky"]
    assert lines["lost"].rstrip().endswith("no such pool")
    assert "pool" not in lines["easy"]


def test_pools_names_each_offer_that_is_held_back_and_none_that_is_asked_for_no_more(
    invoke: Invoke, here: Path, store: Store
) -> None:
    spec = POOL.replace("0..2}", "0..2, big: 1}") + "market: spot, then on-demand\n"
    (here / "specs" / "cpu.yml").write_text(spec)
    (here / "specs" / "cpu-2.yml").write_text(spec.replace("pool: cpu", "pool: cpu-2"))  # at the same place
    scope, until = scope_of(local_place(here / ".reconciler" / "machines")), store.now() + 3600
    offers = [
        (scope, "local", "spot"),
        (scope, "local", "on-demand"),
        (scope, "gone", "spot"),
        ("ec2 {}", "big", "spot"),
    ]
    holds = [Hold(where, kind, market, "", until, 1, "capacity: none") for where, kind, market in offers]
    store.apply([Step(tuple(Replace("holds", hold) for hold in holds), "")], now=store.now(), by="test")
    told = [line for line in invoke("pools").stdout.splitlines() if line.startswith("held back")]
    assert [line.partition(": ")[2] for line in told] == [
        "local spot: capacity: none", "local on-demand: capacity: none"
    ]  # fmt: skip


def test_status_of_nothing(invoke: Invoke, here: Path) -> None:
    found = json.loads(invoke("status", "--json").stdout)
    validate(found, STATUS)
    assert (found["submissions"], found["instances"]) == ([], [])
    assert "no submissions" in invoke("status").stdout
    assert not (here / "tests.db").exists()


def without(printed: str, *added: str) -> list[dict[str, Any]]:
    """Printed objects without the keys that they have beyond those of status, which must be there."""
    found = json.loads(printed)
    assert all(set(added) <= row.keys() for row in found)
    return [{key: value for key, value in row.items() if key not in added} for row in found]


def test_the_parts_of_status_have_commands_of_their_own(invoke: Invoke, lived_in: Store) -> None:
    whole = json.loads(invoke("status", "--json").stdout)
    assert without(invoke("pools", "--json").stdout, "hourly", "cost") == whole["pools"]
    assert without(invoke("instances", "--json", "--all").stdout, "age", "hourly", "cost") == whole["instances"]
    assert [row["id"] for row in json.loads(invoke("instances", "--json").stdout)] == ["m1", "m3"]


def test_status_for_people(invoke: Invoke, lived_in: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = invoke("status")
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    by_first = {line.split()[0]: line.split() for line in lines if line}
    assert by_first["runs"][1:] == ["cpu", "running", "20s", "1", "m1"]
    assert by_first["m1"][-1] == "runs"
    assert "m2" not in by_first
    assert "\x1b" not in told.stdout
    assert "[bold]boom[/bold]" in told.stdout.replace("\n", "")


def test_only_the_last_are_shown_to_people(invoke: Invoke, store: Store) -> None:
    fill(store, *(submission(f"s{at:03}", created=float(at)) for at in range(60)))
    told = invoke("status").stdout
    assert "s059" in told
    assert "s009" not in told
    assert "… and 10 before them: --all" in told
    assert "s009" in invoke("status", "--all").stdout
    assert len(json.loads(invoke("status", "--json").stdout)["submissions"]) == 60


def test_a_broken_spec_file_does_not_stop_those_who_look(invoke: Invoke, here: Path, lived_in: Store) -> None:
    (here / "specs" / "cpu.yml").write_text(POOL.replace("0..2", "-1"))
    told = invoke("status", "--json")
    assert told.exit_code == 0
    assert "cpu.yml:3:15: size.local: the size -1 is negative" in told.stderr
    assert len(json.loads(told.stdout)["submissions"]) == 3


def test_history_for_programs(invoke: Invoke, store: Store) -> None:
    row = submission("good")
    store.apply([born(row)], now=5.0, by="me")
    store.apply([born(submission("other"))], now=6.0, by="me")
    cancelled = move("submissions", row, "cancel", "cancelled", reason="cancelled")
    store.apply([Step((cancelled,))], now=7.0, by="me")
    lines = [json.loads(line) for line in invoke("history", "--json").stdout.splitlines()]
    assert [(line["row"], line["event"], line["target"]) for line in lines] == [
        ("good", "birth", "queued"), ("other", "birth", "queued"), ("good", "cancel", "cancelled")
    ]  # fmt: skip
    assert set(lines[0]) == {field.name for field in fields(Event)}
    assert isinstance(lines[0]["bindings"], dict)
    of_one = [json.loads(line) for line in invoke("history", "good", "--json").stdout.splitlines()]
    assert of_one == [line for line in lines if line["row"] == "good"]
    assert json.loads(invoke("history", "--json", "--last", "1").stdout) == lines[-1]


def test_history_for_people(invoke: Invoke, store: Store) -> None:
    assert invoke("history").stdout == "no history yet\n"
    store.apply([born(submission("x1", label="good"))], now=0.0, by="me")
    (_, line) = invoke("history").stdout.splitlines()
    assert line.split() == ["1970-01-01", "00:00:00", "good", "birth", "queued", "test"]


def test_the_config_may_be_named_before_or_after_or_by_the_environment(
    invoke: Invoke, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    config = str(here / "config.yml")
    for words in (["--config", config, "status", "--json"], ["status", "--json", "-c", config]):
        assert json.loads(invoke(*words).stdout)["controller"] == "tests"
    monkeypatch.setenv("RECONCILER_CONFIG", config)
    assert json.loads(invoke("status", "--json").stdout)["controller"] == "tests"
    assert invoke("status", "--config", "nothing.yml").exit_code == 2
