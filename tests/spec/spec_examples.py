"""Texts of good and bad files, shared by the tests of the loader and of the JSON Schema."""

from pathlib import Path

from reconciler.spec.loader import load_config, load_pool, load_submission

LOADERS = {"config": load_config, "pool": load_pool, "submission": load_submission}

CONFIG = "controller: iris\npools: specs/\n"
POOL = "pool: cpu\ncloud: {local: {}}\nsize: {local: 0..3}\nworkload: {script: {command: sh run.sh}}\n"

# (kind, text): both the loader and the schema accept these.
GOOD = [
    ("config", CONFIG),
    ("config", CONFIG + "database: sqlite:///iris.db\nresults: out\nstate: ~/state\ninterval: 0.5s\n"),
    ("config", CONFIG + "database: postgresql+psycopg://me:secret@db.example:5432/iris\n"),
    ("config", CONFIG + "queue: {folder: submissions/, pool: cpu}\n"),
    ("config", CONFIG + "hooks: {queued: a, started: [a, {command: b, limit: 5m}], failed: {command: c}}\n"),
    ("pool", POOL),
    ("pool", POOL + "slots: 4\nmarket: spot, then on-demand\nidle: 10m\n"),
    ("pool", POOL + "market: on-demand\nidle: stop after 10m, terminate after 2d\n"),
    ("pool", POOL.replace("{local: {}}", "{ssh: {machines: [a, b]}}") + "adopt: [b]\n"),
    ("pool", POOL + "market: spot\nidle: 0s\nsetup: [make]\nenv: {A: '1', B_2: ''}\n"),
    ("pool", POOL + "retries: {exit code: 1, timeout: 0, lost: 3, never started: 3, evicted: unlimited}\n"),
    ("pool", POOL + "deadlines: {launch: 90s, boot: 1.5m, setup: 12h, run: 2d}\noutputs: {bytes: 10GiB, files: 9}\n"),
    ("pool", POOL + "slots: ${SLOTS}\n"),
    ("pool", POOL.replace("{local: {}}", "{local: {folder: m, boot: 0s, capacity: 0, delay: 2s}}")),
    ("pool", POOL.replace("{local: {}}", "{ssh: {machines: [a, 'me@b:22', '[::1]'], user: u, key_path: k, via: c}}")),
    ("pool", POOL.replace("sh run.sh", "sh run.sh, outputs: ['out/**', '*.csv', a/b/]")),
    ("pool", POOL.replace("{script: {command: sh run.sh}}", "{ramp: {kit: ~/kit, memory_profiling: true, data: /d}}")),
    ("pool", POOL.replace("0..3", "2")),
    ("submission", "pool: cpu\n"),
    ("submission", "instance_types: [c6i.xlarge]\npriority: -3\nlimit: 2h\nenv: {A: b}\n"),
]

# (kind, text, line:column, what, hint): both the loader and the schema refuse these.
BAD = [
    ("config", "controller: iris\n", "1:1", "the key pools is missing", "one spec file a pool"),
    ("config", "controller: Iris\npools: s\n", "1:13", "controller: 'Iris' is not a name", "a-z"),
    ("config", CONFIG + "database: mysql://me:secret@db/iris\n", "3:11", "not one of a database", "sqlite:///FILE"),
    ("config", CONFIG + "database: postgresql://me:secret@db\n", "3:11", "names no database", "USER@HOST/NAME"),
    ("config", CONFIG + "databse: sqlite:///x.db\n", "3:1", "there is no key 'databse'", "did you mean database?"),
    ("config", CONFIG + "interval: 10\n", "3:11", "the duration 10 has no unit", "10s"),
    ("config", CONFIG + "queue: submissions/\n", "3:8", "queue: 'submissions/' is not a mapping", "folder, pool"),
    ("config", CONFIG + "hooks: {finished: x}\n", "3:9", "hooks: 'finished' is not one", "take one of"),
    ("config", CONFIG + "hooks: {failed: [{limit: 5m}]}\n", "3:18", "hooks.failed[1]: the key command is missing", ""),
    ("pool", POOL + "sizee: 3\n", "5:1", "there is no key 'sizee'", ""),
    ("pool", POOL.replace("size:", "sizee:"), "3:1", "there is no key 'sizee'", "did you mean size?"),
    ("pool", POOL.replace("0..3", "3..0x"), "3:15", "size.local: '3..0x' is not a number of machines", "0..8"),
    ("pool", POOL.replace("0..3", "-1"), "3:15", "the size -1 is negative", "MIN..MAX"),
    ("pool", POOL.replace("0..3", "-2..3"), "3:15", "the size '-2..3' is negative", "MIN..MAX"),
    ("pool", POOL.replace("{local: 0..3}", "{}"), "3:7", "no instance type is named", "0..3"),
    ("pool", POOL.replace("{local: 0..3}", "[local]"), "3:7", "size: a list is not a mapping", "key: value"),
    ("pool", POOL.replace("{local: {}}", "{lokal: {}}"), "2:9", "there is no cloud 'lokal'", "did you mean local?"),
    ("pool", POOL.replace("{local: {}}", "{}"), "2:8", "0 kinds of cloud", "{local: {}}"),
    ("pool", POOL.replace("{local: {}}", "local"), "2:8", "cloud: 'local' is not a mapping", "{local: {}}"),
    ("pool", POOL.replace("{local: {}}", "{ssh: {}}"), "2:14", "the key machines is missing", "which machines"),
    ("pool", POOL.replace("{local: {}}", "{ssh: {machines: [a b]}}"), "2:26", "'a b' is not a host", "[user@]host"),
    ("pool", POOL.replace("{local: {}}", "{local: {boot: 5}}"), "2:23", "cloud.local.boot: the duration 5", "5s"),
    ("pool", POOL.replace("script:", "skript:"), "4:12", "there is no workload 'skript'", "did you mean script?"),
    ("pool", POOL.replace("command:", "comand:"), "4:21", "no key 'comand'", "did you mean command?"),
    ("pool", POOL.replace("sh run.sh", "3"), "4:30", "workload.script.command: 3 is not text", "quotes"),
    ("pool", POOL.replace("sh run.sh", "a, outputs: [../x]"), "4:43", "outputs[1]: '../x' leads out", "below it"),
    ("pool", POOL.replace("sh run.sh", "a, outputs: [/x]"), "4:43", "outputs[1]: '/x' leads out", "below it"),
    ("pool", POOL + "slots: 0\n", "5:8", "slots: 0 is out of range", "from 1 to 1000"),
    ("pool", POOL + "slots: true\n", "5:8", "slots: true is not a whole number", "from 1"),
    ("pool", POOL + 'slots: "2"\n', "5:8", "slots: '2' is not a whole number", "from 1"),
    ("pool", POOL + "slots: 1.5\n", "5:8", "slots: 1.5 is not a whole number", "from 1"),
    ("pool", POOL + "env: {A: 1}\n", "5:10", "env.A: 1 is not text", "quotes"),
    ("pool", POOL + "env: {1A: x}\n", "5:7", "'1A' is not the name of an environment variable", "A-Z"),
    ("pool", POOL + "env: {RECONCILER_POOL: x}\n", "5:7", "is set by the reconciler", "without RECONCILER_"),
    ("pool", POOL + "setup: make\n", "5:8", "setup: 'make' is not a list", "brackets"),
    ("pool", POOL + "setup: [make, true]\n", "5:15", "setup[2]: true is not text", "quotes"),
    ("pool", POOL + "idle: soon\n", "5:7", "idle: 'soon' is not a duration", "10m"),
    ("pool", POOL + "idle: stop after 10m\n", "5:7", "does not say when a stopped machine ends", "terminate after"),
    ("pool", POOL + "market: sport\n", "5:9", "'sport' is not a market", "spot, then on-demand"),
    ("pool", POOL + "market: spot, then spot\n", "5:9", "names a market twice", ""),
    ("pool", POOL + "retries: {exit_code: 1}\n", "5:11", "no key 'exit_code'", "did you mean exit code?"),
    ("pool", POOL + "retries: {lost: -1}\n", "5:17", "retries.lost: -1 is out of range", "unlimited"),
    ("pool", POOL + "retries: {lost: never}\n", "5:17", "'never' is not a whole number", "unlimited"),
    ("pool", POOL + "outputs: {bytes: 10}\n", "5:18", "10 is not an amount of bytes", "10GiB"),
    ("pool", POOL + "outputs: {bytes: 10GB}\n", "5:18", "'10GB' is not an amount of bytes", "10GiB"),
    ("pool", POOL + "files: {x: kit}\n", "5:12", "'kit' is not a path on a machine", "~/"),
    ("pool", POOL + "files: {x: ~/../kit}\n", "5:12", "leads upwards", "without .."),
    ("pool", POOL.replace("{script: {command: sh run.sh}}", "{ramp: {kit: ~/k, memory_profiling: yes}}"), "4:47",
     "'yes' is neither true nor false", "write true or false"),
    ("submission", "priority: high\n", "1:11", "priority: 'high' is not a whole number", ""),
    ("submission", "limit: 90\n", "1:8", "limit: the duration 90 has no unit", "90s"),
    ("submission", "instance_types: c6i.xlarge\n", "1:17", "is not a list", "brackets"),
    ("submission", "name: x\n", "1:1", "there is no key 'name'", "take one of: pool"),
]  # fmt: skip

# The same, where the loader alone can tell.
BAD_FOR_THE_LOADER = [
    ("config", CONFIG + "interval: 0s\n", "3:11", "'0s' is no time at all", "more than 0s"),
    ("config", CONFIG + "interval: 9000d\n", "3:11", "is too long", "1000d"),
    ("config", CONFIG + "database: 'sqlite:///:memory:'\n", "3:11", "names no file", "three slashes"),
    ("config", CONFIG + "queue: {folder: .}\n", "2:8", "pools: pools lies in the queue's folder", "outside"),
    ("config", CONFIG + "queue: {folder: r}\nresults: r/x\n", "4:10", "results lies in the queue's folder", "outside"),
    ("config", CONFIG + "controller: b\n", "3:1", "the key 'controller' appears twice", "line 1"),
    ("config", CONFIG + "results:\n", "3:1", "'results' has no value", "leave the key out"),
    ("config", CONFIG + "database: sqlite:///${NOPE}.db\n", "3:11", "the environment has no NOPE", "set NOPE"),
    ("config", CONFIG + "results: ${SHOTS}\n", "3:10", "the environment has no SHOTS", "did you mean SLOTS?"),
    ("config", CONFIG + "results: ${A:-b}\n", "3:10", "${A:-b} takes no value", "$${"),
    ("config", CONFIG + "results: a${\n", "3:10", "takes no value", "$${"),
    ("config", CONFIG + "results: ~nobody_of_that_name/x\n", "3:10", "nobody's home is known", "whole path"),
    ("config", "- a\n", "1:1", "a list is not a mapping", "controller"),
    ("config", "a\n", "1:1", "'a' is not a mapping", "controller"),
    ("config", CONFIG + "? [a]\n: b\n", "3:3", "a key is text", "quote"),
    ("config", CONFIG + "2: b\n", "3:1", "the key 2 is not text", "quotes"),
    ("config", CONFIG + "results: !!python/name:os x\n", "3:10", "python/name:os' is not read", "plain"),
    ("config", CONFIG + "results: !x y\n", "3:10", "the tag '!x' is not read here", "plain"),
    ("config", CONFIG + "results: *x\n", "3:10", "*x names nothing", "&x"),
    ("config", CONFIG + "queue: &q {folder: *q}\n", "3:20", "*q names nothing that ends above", "&q"),
    ("config", CONFIG + "queue:\n\tfolder: x\n", "4:1", "a tab indents this line", "spaces"),
    ("config", CONFIG + "queue: {folder: x\n", "4:1", "not YAML", "bracket"),
    ("config", CONFIG + "results: 'x\n", "4:1", "not YAML: found unexpected end of stream", "close the quote"),
    ("config", CONFIG + "results: a: b\n", "3:11", "not YAML: mapping values are not allowed", "quote"),
    ("config", CONFIG + "results\n", "4:1", "not YAML: could not find expected ':'", "behind the key"),
    ("config", CONFIG + 'results: "\\UFFFFFFFF"\n', "1:1", "a value that YAML does not allow", "check"),
    ("config", CONFIG + 'results: "a\\0b"\n', "3:10", "a NUL character", "remove"),
    ("config", CONFIG + "---\na: b\n", "3:1", "a second document", "keep one"),
    ("pool", POOL.replace("0..3", "3..0"), "3:15", "the size '3..0' is reversed", "write 0..3"),
    ("pool", POOL + "files: {gone: ~/kit}\n", "5:9", "there is no 'gone'", "check the path"),
    ("pool", POOL + "files: {.: ~/kit, ./x/..: ~/kit}\n", "5:8", "two of them go to one place", "of its own"),
    ("pool", POOL + "files: {.: ~/.reconciler/x}\n", "5:8", "belongs to the agent", "another place"),
    ("pool", POOL + "idle: stop after 1h, terminate after 2d\nmarket: spot\n", "5:7", "cannot be stopped", "10m"),
    ("pool", POOL + "idle: stop after 2d, terminate after 10m\n", "5:7", "would never stop a machine", "later"),
    ("pool", POOL + "env: {A: '${NOPE}', B: 3}\n", "5:10", "the environment has no NOPE", ""),
    ("pool", POOL + "env: {A: '${NOPE}', B: 3}\n", "5:24", "env.B: 3 is not text", ""),
    ("pool", POOL + "setup: [" + "[" * 30 + "]" * 30 + "]\n", "5:27", "nested more than 20 deep", ""),
    ("pool", POOL.replace("sh run.sh", "a, outputs: ['[z-a]']"), "4:43", "matches no character", "[a-z]"),
    ("pool", POOL.replace("sh run.sh", "a, outputs: [a//b]"), "4:43", "has an empty part", "out/**"),
    ("submission", "env: {A: '${HOME}'}\n", "1:10", "the environment has no HOME", "set HOME"),
]  # fmt: skip

ENVIRON = {"SLOTS": "2", "PASSWORD": "hunter2"}


def load(kind: str, path: Path) -> object:
    """What the loader of one kind of file makes of it, in a small environment."""
    if kind == "submission":
        return load_submission(path)
    return LOADERS[kind](path, environ=ENVIRON)
