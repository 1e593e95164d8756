"""What other people's jobs leave behind, brought home over ssh: refused where it is no plain file, and never obeyed."""

from pathlib import Path

import pytest

from tests.security.deployment import Deployment

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

# Submission → what it does; each ends as `failed: invalid`.
REFUSED = {
    "link": "mkdir out; ln -s /etc/passwd out/passwd",
    "upwards": "mkdir out; ln -s ../../../../../.. out/up; ln -s out/up escape; echo x > out/fine",
    "fifo": "mkdir out; mkfifo out/fifo",
    "giant": "mkdir out; dd if=/dev/null of=out/giant bs=1 seek=10G 2>/dev/null",
    "newline": """mkdir out; echo x > "$(printf 'out/line\\nend')" """,
    "escape": """mkdir out; echo x > "$(printf 'out/\\033]0;title\\007red\\033[31m')" """,
    "shadow": "mkdir -p out; echo x > out/fine; ln -s /etc/shadow out/hard 2>/dev/null; mknod out/pipe p",
}
ESCAPES = "printf '\\033]0;title\\007\\033[31mred\\r\\n'; exit 3"
LOG_LINK = "mkdir out; echo x > out/x; rm ../log; ln -s /etc/passwd ../log"
GOOD = "mkdir out; echo good > out/x"

# Put in front of the agent, so that the machine itself is the liar.
TAMPER = """\
mkdir "$HOME/evil" && cd "$HOME/evil" && for name in log up root fine; do echo evil >"$name"; done
cat >lie <<'END'
if [ "${1:-}" = pack ]; then
    cd "$HOME/evil" && echo "$2 exited - 0 1 2 -" >exit
    exec tar -cPf - --transform "s,^log,$2/log," --transform "s,^up,$2/work/out/../../../../escaped," \
        --transform "s,^root,$2/work//tmp/escaped," --transform "s,^fine,$2/work/out/fine," \
        --transform "s,^exit,$2/exit," log up root fine exit
fi
END
cat lie "$HOME/.reconciler/agent" >"$HOME/new"
mv "$HOME/new" "$HOME/.reconciler/agent"
"""


def everything(folder: Path) -> set[Path]:
    """What there is, save for what every run writes."""
    return {path for path in folder.rglob("*") if "machines" not in path.parts}


def test_what_is_no_plain_file_is_refused_and_the_others_go_on(deployment: Deployment) -> None:
    cloud = deployment.machines()
    deployment.pool("cpu", cloud, size={"t3.micro": "0..2"}, slots=5, outputs={"bytes": "1GiB"})
    deployment.pool("liar", cloud, size={"t3.small": "0..1"})
    scripts = {**REFUSED, "log-link": LOG_LINK, "good": GOOD, "escapes": ESCAPES}
    for name, script in scripts.items():
        deployment.submit(deployment.submission(name, script), "--pool", "cpu")
    deployment.submit(deployment.submission("liar", TAMPER), "--pool", "liar")
    outside = deployment.folder.parent
    before = {path for path in everything(outside) if deployment.folder not in path.parents}

    printed = deployment.settle()
    outcomes = deployment.outcomes()
    assert {name: outcomes[name] for name in (*REFUSED, "liar")} == dict.fromkeys(
        (*REFUSED, "liar"), ("failed", "invalid")
    )
    assert outcomes["good"] == ("succeeded", "")
    assert outcomes["escapes"] == ("failed", "exit code")

    results = deployment.folder / "results"
    homes = list(results.rglob("*"))
    assert [path for path in homes if not (path.is_file() or path.is_dir()) or path.is_symlink()] == []
    assert sum(path.stat().st_size for path in homes if path.is_file()) < 1024**2
    assert "root:" not in "".join(path.read_text(errors="replace") for path in homes if path.is_file())
    assert (deployment.home("good") / "out" / "x").read_text() == "good\n"
    assert {path for path in everything(outside) if deployment.folder not in path.parents} == before
    assert not [path for path in everything(deployment.folder) if path.name == "escaped"]
    assert not Path("/tmp/escaped").exists()

    words = [("show", "newline"), ("show", "escape"), ("show", "escapes"), ("logs", "escapes"), ("status",)]
    printed += b"".join(told.stdout + told.stderr for told in (deployment.run(*each) for each in words))
    assert [code for code in (*range(9), *range(11, 32), 127) if bytes([code]) in printed] == []
    assert b"title" in printed
