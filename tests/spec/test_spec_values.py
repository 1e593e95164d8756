"""Good files become the values that they mean."""

from pathlib import Path

import pytest

from reconciler.model.job import OutputLimits
from reconciler.model.offer import Market
from reconciler.spec import written
from reconciler.spec.environment import fill_all
from reconciler.spec.loader import Pools, load_config, load_pool, load_pools, load_submission, queue_problems
from reconciler.spec.options import LocalCloud, Ramp, Script
from reconciler.spec.scalars import delay, duration, idle, size, size_in_bytes
from reconciler.spec.values import Choice, Event, Hook, Idle, Queue, Retries, Size
from tests.spec.spec_examples import CONFIG, GOOD, POOL, load


@pytest.fixture
def pool_of(tmp_path):
    def made(more="", *, text=POOL, environ=None):
        file = tmp_path / "cpu.yml"
        file.write_text(text + more)
        return load_pool(file, environ=environ or {})

    return made


@pytest.fixture
def config_of(tmp_path):
    def made(more="", *, environ=None):
        file = tmp_path / "config.yml"
        file.write_text(CONFIG + more)
        return load_config(file, environ=environ or {})

    return made


@pytest.mark.parametrize(("kind", "text"), GOOD)
def test_good_files_load(tmp_path, kind, text):
    file = tmp_path / "file.yml"
    file.write_text(text)
    loaded = load(kind, file)
    assert getattr(loaded, "source", file) == file


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("90s", 90), ("10m", 600), ("12h", 43200), ("2d", 172800), ("0.5s", 0.5), ("1000d", 86400000)],
)
def test_durations(said, seconds):
    assert duration(said) == seconds
    assert duration(written.duration(seconds)) == seconds


@pytest.mark.parametrize(("said", "amount"), [("1B", 1), ("2KiB", 2048), ("1.5MiB", 1572864), ("10GiB", 10 * 1024**3)])
def test_byte_sizes(said, amount):
    assert size_in_bytes(said) == amount
    assert size_in_bytes(written.size_in_bytes(amount)) == amount


@pytest.mark.parametrize(
    ("said", "value"), [(2, Size(low=2, high=2)), ("0..8", Size(low=0, high=8)), (0, Size(low=0, high=0))]
)
def test_sizes(said, value):
    assert size(said) == value
    assert written.size(value) == str(said)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("10m", Idle(terminate=600.0)),
        ("terminate after 1h", Idle(terminate=3600.0)),
        ("stop after 10m, terminate after 2d", Idle(stop=600.0, terminate=172800.0)),
        ("terminate after 2d,stop after 10m", Idle(stop=600.0, terminate=172800.0)),
    ],
)
def test_idle_times(said, value):
    assert idle(said) == value
    assert idle(written.idle(value)) == value


def test_a_delay_may_be_nothing():
    assert delay("0s") == 0.0


def test_a_pool_in_full(pool_of, tmp_path):
    (tmp_path / "kit").mkdir()
    pool = pool_of(
        "market: spot, then on-demand\nslots: 2\nfiles: {kit: ~/kit}\nsetup: [make]\nenv: {A: '1'}\n"
        "retries: {exit code: 1, never started: unlimited}\noutputs: {bytes: 1KiB}\ndeadlines: {run: 90s}\n"
    )
    assert pool.cloud == Choice(kind="local", settings=LocalCloud())
    assert pool.workload == Choice(kind="script", settings=Script(command="sh run.sh"))
    assert pool.market == (Market.SPOT, Market.ON_DEMAND)
    assert pool.files == {tmp_path / "kit": "~/kit"}
    assert (pool.slots, pool.setup, pool.env) == (2, ("make",), {"A": "1"})
    assert pool.retries == Retries(exit_code=1, never_started=None)
    assert pool.outputs == OutputLimits(bytes=1024)
    assert (pool.deadlines.run, pool.deadlines.boot) == (90.0, 900.0)
    assert pool.source == tmp_path / "cpu.yml"


def test_types_keep_their_order(pool_of):
    pool = pool_of(text=POOL.replace("{local: 0..3}", "{z: 1, a: 2, m: 0..1}"))
    assert list(pool.size) == ["z", "a", "m"]


def test_a_ramp_kit_is_a_path_on_the_machine(pool_of):
    pool = pool_of(text=POOL.replace("script: {command: sh run.sh}", "ramp: {kit: ~/ramp-kits/iris}"))
    assert pool.workload.settings == Ramp(kit="~/ramp-kits/iris")


def test_paths_here_are_relative_to_the_file(pool_of, tmp_path):
    (tmp_path / "kit").touch()
    pool = pool_of("files: {./x/../kit: ~/kit}\n", text=POOL.replace("{local: {}}", "{local: {folder: m}}"))
    assert pool.files == {tmp_path / "kit": "~/kit"}
    assert pool.cloud.settings.folder == tmp_path / "m"


def test_a_config_with_its_defaults(config_of, tmp_path):
    config = config_of()
    assert config.database == f"sqlite:///{tmp_path}/reconciler.db"
    assert (config.pools, config.results, config.state) == (
        tmp_path / "specs",
        tmp_path / "results",
        tmp_path / ".reconciler",
    )
    assert (config.queue, config.hooks, config.interval) == (Queue(), {}, 10.0)


def test_a_config_in_full(config_of, tmp_path):
    config = config_of(
        "database: sqlite:///data/iris.db?timeout=5\nstate: ~/state\nqueue: {folder: in, pool: cpu}\n"
        "hooks: {queued: a, failed: [b, {command: c, limit: 5m}]}\n"
    )
    assert config.database == f"sqlite:///{tmp_path}/data/iris.db?timeout=5"
    assert config.state == Path.home() / "state"
    assert config.queue == Queue(folder=tmp_path / "in", pool="cpu")
    assert config.hooks == {
        Event.QUEUED: (Hook(command="a"),),
        Event.FAILED: (Hook(command="b"), Hook(command="c", limit=300.0)),
    }


def test_paths_are_absolute_also_where_the_file_is_named_relatively(config_of, tmp_path, monkeypatch):
    whole = config_of()
    monkeypatch.chdir(tmp_path.parent)
    assert load_config(Path(tmp_path.name, "config.yml"), environ={}) == whole
    assert load_config(Path(tmp_path.name, "config.yml"), environ={}).source == whole.source


def test_the_environment_fills_text_numbers_and_keys(pool_of):
    environ = {"SLOTS": "3", "TYPE": "big", "SIZE": "0..2", "WORD": "yes", "FLAG": "true"}
    pool = pool_of(
        "slots: ${SLOTS}\nenv: {A: '${SLOTS}', B: 'x${WORD}x', C: '$${WORD} $WORD'}\n",
        text=POOL.replace("{local: 0..3}", "{'${TYPE}': '${SIZE}', two: '${SLOTS}'}").replace(
            "script: {command: sh run.sh}", "ramp: {kit: '~/${WORD}', memory_profiling: '${FLAG}'}"
        ),
        environ=environ,
    )
    assert pool.slots == 3
    assert pool.env == {"A": "${SLOTS}", "B": "x${WORD}x", "C": "$${WORD} $WORD"}
    assert fill_all(pool.env, environ) == {"A": "3", "B": "xyesx", "C": "${WORD} $WORD"}
    assert pool.size == {"big": Size(low=0, high=2), "two": Size(low=3, high=3)}
    assert pool.workload.settings == Ramp(kit="~/yes", memory_profiling=True)
    assert {type(text) for text in (*pool.env.values(), *pool.size, pool.workload.settings.kit)} == {str}


def test_aliases_stand_for_what_they_name(pool_of):
    pool = pool_of("setup: &lines [a, b]\nenv: {A: &one 'x', B: *one}\ndeadlines: {run: &d 1h, boot: *d}\n")
    assert (pool.env, pool.setup) == ({"A": "x", "B": "x"}, ("a", "b"))
    assert pool.deadlines.run == pool.deadlines.boot == 3600.0


def test_submission_options(tmp_path):
    file = tmp_path / "submission.yml"
    file.write_text("pool: cpu\ninstance_types: [a.b, c]\npriority: -3\nlimit: 2h\nenv: {A: ''}\n")
    options = load_submission(file)
    assert (options.pool, options.instance_types, options.priority) == ("cpu", ("a.b", "c"), -3)
    assert (options.limit, options.env) == (7200.0, {"A": ""})


def specs_with(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)
    return folder


def test_one_bad_pool_does_not_hide_the_others(tmp_path):
    bad = POOL.replace("pool: cpu", "pool: bad") + "slots: 0\n"
    folder = specs_with(tmp_path / "specs", a=POOL.replace("cpu", "a"), b=bad, c=POOL)
    (folder / ".c.yml.swp").write_text("no spec")
    (folder / ".hidden.yml").write_text("no spec")
    (folder / "README.md").write_text("no spec")
    pools = load_pools(folder, environ={})
    assert list(pools.by_name) == ["a", "cpu"]
    assert [str(problem) for problem in pools.problems] == [
        f"{folder}/b.yml:5:8: slots: 0 is out of range; write a whole number from 1 to 1000"
    ]
    assert pools.refused == (folder / "b.yml",)


def test_two_pools_of_one_name_are_both_refused(tmp_path):
    folder = specs_with(tmp_path / "specs", a=POOL, b=POOL.replace("cpu", "other"), c="slots: 1\n" + POOL)
    pools = load_pools(folder, environ={})
    assert list(pools.by_name) == ["other"]
    assert [str(problem) for problem in pools.problems] == [
        f"{folder}/c.yml:2:7: pool: there is another pool 'cpu', in a.yml; give each a name of its own"
    ]
    assert pools.refused == (folder / "a.yml", folder / "c.yml")


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_a_folder_without_pools_is_a_problem_and_takes_nothing_away(tmp_path, name):
    (tmp_path / "empty").mkdir()
    pools = load_pools(tmp_path / name)
    assert (pools.pools, pools.refused, len(pools.problems)) == ((), (), 1)
    assert str(pools.problems[0]).startswith(f"{tmp_path / name}:1:1: ")


@pytest.mark.parametrize(
    ("queue", "told"),
    [
        ("", []),
        ("queue: {folder: in, pool: cpu}\n", []),
        ("queue: {pool: cpuu}\n", ["3:15: queue.pool: there is no pool 'cpuu'; name one of cpu, gpu"]),
        ("queue: {folder: in}\n", ["3:17: queue.folder: there are several pools; add pool: and one of cpu, gpu"]),
    ],
)
def test_the_queue_names_a_pool_that_is_there(config_of, tmp_path, queue, told):
    (tmp_path / "in").mkdir()
    config = config_of(queue)
    pools = load_pools(specs_with(tmp_path / "specs", a=POOL, b=POOL.replace("cpu", "gpu")), environ={})
    assert [str(each).partition("config.yml:")[2] for each in queue_problems(config, pools, environ={})] == told
    assert queue_problems(config, Pools(refused=(Path("x.yml"),))) == ()


def test_the_queues_folder_is_there(config_of, tmp_path):
    config = config_of("queue: {folder: inn, pool: cpu}\n")
    problems = queue_problems(config, Pools(refused=(Path("x.yml"),)), environ={})
    assert [str(each).partition("config.yml:")[2] for each in problems] == [
        "3:17: queue.folder: it cannot be listed: No such file or directory; make the folder, or name another"
    ]
    (tmp_path / "inn").touch()
    assert "Not a directory" in str(queue_problems(config, Pools(), environ={})[0])
