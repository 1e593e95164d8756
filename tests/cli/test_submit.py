"""What people ask for is written as they asked, once, and rings for a loop that runs."""

import json
from pathlib import Path

import pytest
from attrs import evolve

import reconciler
from reconciler.api import RequestError, retry
from reconciler.model.rows import Submission
from reconciler.spec.loader import load_config
from reconciler.store.store import Store
from tests.cli.cli_rows import CONFIG, POOL, Invoke, submission
from tests.store.store_rows import DELIVERY, fill, instance
from tests.store.store_rows import submission as row


def test_what_runs_again_already_is_not_tried_again(invoke: Invoke, store: Store) -> None:
    fill(store, row("one", state="failed", content="ab"))
    assert invoke("retry", "one").exit_code == 0
    again = next(found for found in store.submissions() if found.retry_of == "one")
    told = invoke("retry", "one")
    assert told.exit_code == 2
    assert told.stderr == f"one is queued again already as {again.label}, which is queued\n"
    assert len(store.submissions()) == 2


def test_two_that_try_again_at_once_make_one(here: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other has written since we looked."""
    fill(store, row("one", state="failed", content="ab"))
    config, failed = load_config(here / "config.yml"), only(store)
    made = retry(config, store, failed)
    monkeypatch.setattr(store, "latest_retry", lambda found: found)
    with pytest.raises(RequestError, match=f"queued again already as {made.label}"):
        retry(config, store, failed)
    assert len(store.submissions()) == 2


def only(store: Store) -> Submission:
    (found,) = store.submissions()
    return found


def test_submit_queues_a_copy(invoke: Invoke, here: Path, store: Store) -> None:
    folder = submission(here, "echo one")
    told = invoke("submit", str(folder))
    assert told.exit_code == 0
    born = only(store)
    assert told.stdout == f"submission work is queued for pool cpu (id {born.id})\n"
    (folder / "run.sh").write_text("echo two")
    assert (here / ".reconciler" / "content" / born.content / "run.sh").read_text() == "echo one"
    assert (here / "tests.db-bell").exists()


def test_what_is_asked_for_goes_before_submission_yml(invoke: Invoke, here: Path, store: Store) -> None:
    folder = submission(here, "true")
    (folder / "submission.yml").write_text("priority: 1\nlimit: 1h\nenv: {A: file, B: file}\n")
    told = invoke(
        "submit", folder, "--name", "mine", "--pool", "cpu", "--priority", "7", "--limit", "90s", "--type", "local",
        "--env", "A=asked", "--env", "C=x=y",
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    born = only(store)
    assert (born.name, born.pool, born.priority, born.limit, born.types) == ("mine", "cpu", 7, 90.0, '["local"]')
    assert json.loads(born.env) == {"A": "asked", "B": "file", "C": "x=y"}


def test_the_next_of_a_name_gets_a_label_of_its_own(invoke: Invoke, here: Path) -> None:
    folder = submission(here, "true")
    labels = [json.loads(invoke("submit", folder, "--json").stdout)["label"] for _ in range(3)]
    assert labels == ["work", "work-2", "work-3"]


def test_several_pools_and_none_named(invoke: Invoke, here: Path) -> None:
    (here / "config.yml").write_text(CONFIG.replace("queue: {folder: submissions/, pool: cpu}\n", ""))
    (here / "specs" / "gpu.yml").write_text(POOL.replace("cpu", "gpu"))
    told = invoke("submit", submission(here, "true"))
    assert told.exit_code == 2
    assert "--pool: cpu, gpu" in told.stderr


@pytest.mark.parametrize("words", [("--type", "locl"), ()])
def test_a_type_that_the_pool_does_not_have(invoke: Invoke, here: Path, store: Store, words: tuple[str, ...]) -> None:
    folder = submission(here, "true")
    (folder / "submission.yml").write_text("instance_types: [locl]\n")
    told = invoke("submit", folder, *words)
    assert told.exit_code == 2
    assert "it names locl, and pool cpu has local only; did you mean local?" in told.stderr
    with pytest.raises(RequestError, match="pool cpu has local only"):
        reconciler.submit(here / "config.yml", folder)
    assert not store.submissions()


def test_cancel_by_name_label_or_id(invoke: Invoke, store: Store) -> None:
    fill(store, row("one"), row("x2", name="two", label="two-2"), row("three"))
    told = invoke("cancel", "one", "two-2")
    assert told.exit_code == 0
    assert {each.id: each.cancel_wanted for each in store.submissions()} == {"one": True, "x2": True, "three": False}


def test_one_wrong_name_cancels_nothing(invoke: Invoke, store: Store) -> None:
    fill(store, row("one"))
    told = invoke("cancel", "one", "on")
    assert told.exit_code == 2
    assert "there is no submission 'on'; did you mean one?" in told.stderr
    assert not only(store).cancel_wanted


@pytest.mark.parametrize(
    ("words", "state", "message"),
    [
        (["cancel", "one"], "succeeded", "one has ended already"),
        (["retry", "one"], "running", "one is running: only what has ended can be tried again"),
    ],
)
def test_what_makes_no_sense_is_refused(
    invoke: Invoke, store: Store, words: list[object], state: str, message: str
) -> None:
    fill(store, row("one", state=state))
    told = invoke(*words)
    assert told.exit_code == 2
    assert message in told.stderr
    assert only(store).version == 1


def test_retry_makes_a_new_submission_of_the_same_content(invoke: Invoke, store: Store) -> None:
    fill(store, row("one", state="failed", priority=3, env='{"A":"b"}'))
    assert invoke("retry", "one").exit_code == 0
    old, new = store.submissions()
    assert (new.retry_of, new.label, new.state, new.content) == (old.id, "one-2", "queued", old.content)
    assert (new.priority, new.env) == (3, '{"A": "b"}')


def test_retry_deliveries_that_were_given_up(invoke: Invoke, store: Store) -> None:
    fill(
        store,
        row("one", state="failed"),
        row("two", state="failed"),
        *(
            evolve(DELIVERY, id=f"{name}/failed/hook", submission_id=name, state="given up", reason="timeout")
            for name in ("one", "two")
        ),
    )
    assert invoke("retry", "--deliveries", "one").stdout == "1 delivery is tried again\n"
    states = {each.id: each.state for each in store.deliveries(submission_ids=["one", "two"])}
    assert states == {"one/failed/hook": "pending", "two/failed/hook": "given up"}
    assert invoke("retry", "--deliveries").stdout == "1 delivery is tried again\n"
    assert len(store.submissions()) == 2


def test_drain(invoke: Invoke, store: Store) -> None:
    fill(store, instance("m1", state="ready", cloud_id="local-1"), instance("m2", state="terminated"))
    told = invoke("drain", "local-1")
    assert told.exit_code == 0, told.output
    drained = store.instance("m1")
    assert drained is not None
    assert (drained.state, drained.reason) == ("draining", "drained")
    assert "m2 is terminated" in invoke("drain", "m2", "--yes").stderr
