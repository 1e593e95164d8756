"""Globs as grep's expressions, against a matcher that says plainly what they mean, in the greps that machines have."""

import shutil
import subprocess
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.hosts.globs import GlobError, glob_to_ere, globs_to_lines

GREPS = [command for command in (("grep",), ("busybox", "grep")) if shutil.which(command[0])]


def _means(glob: list[str], path: list[str]) -> bool:
    """Component by component; `**` is any number of components, at the end at least one."""
    if not glob:
        return not path
    if glob[0] == "**":
        return bool(path) and (len(glob) == 1 or _means(glob[1:], path) or _means(glob, path[1:]))
    return bool(path) and fnmatchcase(path[0], glob[0]) and _means(glob[1:], path[1:])


def _grep(command: tuple[str, ...], lines: bytes, paths: list[str], folder: str) -> set[str]:
    patterns = f"{folder}/patterns"
    with open(patterns, "wb") as file:  # noqa: PTH123
        file.write(lines)
    text = "".join(f"{path}\n" for path in paths).encode()
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    outcome = subprocess.run([*command, "-E", "-f", patterns], input=text, env=environment, capture_output=True)
    assert outcome.stderr == b""
    return set(outcome.stdout.decode().split("\n")[:-1])


CHARACTERS = "ab.*?[]!^-\\$|(){}+é𝄞/ "
NAMES = st.text(st.sampled_from("ab.*?[]!^-\\$|(){}+é𝄞 "), min_size=1, max_size=4).filter(
    lambda n: n not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(
    ["*", "**", "?", "[ab]", "[!a]", "[]]", "[!]^]", "[a-b-]", "[^]", "[-^]", "[.]", "a", "é", "\\"]
)
GLOBS = st.lists(st.one_of(st.lists(PIECES, min_size=1, max_size=3).map("".join), NAMES), min_size=1, max_size=4)


@pytest.mark.parametrize("command", GREPS, ids=" ".join)
@settings(max_examples=150, deadline=None)
@given(glob=GLOBS, paths=st.lists(PATHS, min_size=1, max_size=30))
def test_an_expression_matches_what_the_glob_means(
    command: tuple[str, ...], glob: list[str], paths: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = str(tmp_path_factory.getbasetemp())
    text = "/".join(glob)
    try:
        lines = globs_to_lines([text])
    except GlobError:
        assert "[" in text or any(part in (".", "..") for part in glob)
        return
    components = [part for part in text.split("/") if part != "."]
    paths = [*paths, text.replace("[", "").replace("]", "")] if not text.startswith("/") else paths
    paths = [path for path in paths if not path.endswith("/")]  # only a link is listed so
    assert _grep(command, lines, paths, folder) == {path for path in paths if _means(components, path.split("/"))}


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("out/**", ["out/a", "out/b/c", "out/.d"], ["out", "outer/a", "x/out/a"]),
        ("out/", ["out/a", "out/b/c"], ["out"]),
        ("**/*.csv", ["a.csv", "x/y/b.csv"], ["a.csv.gz", "csv"]),
        ("./a", ["a"], ["b"]),
        ("a.b", ["a.b"], ["axb"]),
        ("?", ["é", "𝄞", "a"], ["éé", ""]),
        ("**", ["a", "a/b"], [""]),
    ],
)
def test_examples(glob: str, yes: list[str], no: list[str], tmp_path: pytest.TempPathFactory) -> None:
    assert _grep(("grep",), globs_to_lines([glob]), yes + no, str(tmp_path)) == set(yes)


def test_a_link_in_the_place_of_a_folder_is_found_by_its_name_with_a_slash(tmp_path: pytest.TempPathFactory) -> None:
    lines = globs_to_lines(["out/a b/*.csv", "out/**", "x*/y/z", "**/log"])
    found = _grep(("grep",), lines, ["out/", "out/a b/", "out/a b/c/", "x/", "x/y/", "any/", "out"], str(tmp_path))
    assert found == {"out/", "out/a b/"}


@pytest.mark.parametrize("glob", ["", "/etc/*", "../x", "a/../b", "a//b", "a\nb", "[é]", "[!é]", "/"])
def test_globs_that_make_no_sense_are_refused(glob: str) -> None:
    with pytest.raises(GlobError, match="glob"):
        glob_to_ere(glob)
