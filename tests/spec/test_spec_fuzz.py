"""Whatever is in a file, reading it ends in values or in a SpecError that names a problem, never otherwise."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.hosts.globs import glob_to_ere
from reconciler.spec.errors import SpecError, Wrong
from reconciler.spec.fields import glob
from tests.spec.spec_examples import BAD, BAD_FOR_THE_LOADER, GOOD, LOADERS, load

TEXTS = [row[1] for row in (*GOOD, *BAD, *BAD_FOR_THE_LOADER)]
WORDS = [
    *"\n :-[]{},'\"|>&*!%#?@`~\t\\",
    *(
        "\n  ",
        ": ",
        "- ",
        "${A}",
        "$${",
        "<<: *a",
        "&a ",
        "*a",
        "!!x ",
        "0..3",
        "10m",
        "null",
        "true",
        "-1",
        "1e9",
        ".inf",
    ),
    *("\\0", "\\UFFFFFFFF", "\\ud800", "---\n", "...\n", "%YAML 1.1\n", "\ufeff", "\u2028", "\x85", "\U0001f600"),
    *(
        "pool",
        "cloud",
        "local",
        "size",
        "workload",
        "script",
        "command",
        "env",
        "files",
        "hooks",
        "controller",
        "pools",
    ),
]
kinds = st.sampled_from(sorted(LOADERS))
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
keys = st.sampled_from(WORDS) | st.text(max_size=4)
documents = st.recursive(leaves, lambda each: st.lists(each, max_size=4) | st.dictionaries(keys, each, max_size=4))
quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def mangled(draw):
    """An example with a piece cut out and something put in its place."""
    text = draw(st.sampled_from(TEXTS))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 12)))
    return text[:start] + draw(st.lists(st.sampled_from(WORDS), max_size=3).map("".join)) + text[end:]


@pytest.fixture
def ends_well(tmp_path):
    def check(kind, data):
        file = tmp_path / "file.yml"
        file.write_bytes(data)
        refused = None
        try:
            assert load(kind, file) is not None
        except SpecError as error:
            refused = error
        if refused is not None:
            assert refused.problems
            assert all(each.line > 0 and each.column > 0 and each.what for each in refused.problems)
            assert len(str(refused).splitlines()) == len(refused.problems)

    return check


@quick
@given(kinds, st.binary(max_size=60))
def test_any_bytes(ends_well, kind, data):
    ends_well(kind, data)


@quick
@given(kinds, st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text(ends_well, kind, text):
    ends_well(kind, text.encode())


@quick
@given(kinds, st.lists(st.sampled_from(WORDS), max_size=25).map("".join))
def test_any_words_of_yaml(ends_well, kind, text):
    ends_well(kind, text.encode())


@quick
@given(kinds, mangled())
def test_mangled_examples(ends_well, kind, text):
    ends_well(kind, text.encode())


@quick
@given(kinds, documents)
def test_any_document(ends_well, tmp_path, kind, document):
    with (tmp_path / "dumped.yml").open("w", encoding="utf-8", errors="replace") as stream:
        YAML(typ="safe", pure=True).dump(document, stream)
    ends_well(kind, (tmp_path / "dumped.yml").read_bytes())


@given(st.text(max_size=12) | st.lists(st.sampled_from([*"ab/.*?![]-^\\~é\n"]), max_size=12).map("".join))
def test_a_pattern_that_is_accepted_can_be_followed(pattern):
    try:
        accepted = glob(pattern)
    except Wrong:
        return
    assert glob_to_ere(accepted).startswith(b"^")
