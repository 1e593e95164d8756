"""A conda that is none: it lists real virtual environments as conda does, and runs programs in them."""

import sys
from pathlib import Path

# How conda writes JSON: over many lines, or, with `compact`, on one; with all that `info` knows, or the list alone.
PROGRAM = """#!{python}
import json, os, subprocess, sys
root, folders, extra, full, indent = {root!r}, {folders!r}, {extra!r}, {full!r}, {indent!r}
base = {{"root_prefix": root, "envs_dirs": folders}} if full else {{}}
found = [os.path.join(each, name) for each in folders if os.path.isdir(each) for name in sorted(os.listdir(each))]
private = os.path.join(os.environ["HOME"], ".conda", "environments.txt")
listed = open(private).read().split("\\n")[:-1] if os.path.exists(private) else []
if sys.argv[1:] == ["info", "--envs", "--json"]:
    print(json.dumps({{"active_prefix": None, **base, "envs": [root, *found, *extra, *listed]}}, indent=indent))
elif sys.argv[1:] == ["info", "--base"] and full:
    print(root)
elif sys.argv[1:3] == ["run", "-n"]:
    (prefix,) = [each for each in found if os.path.basename(each) == sys.argv[3]]
    path = os.path.join(prefix, "bin") + os.pathsep + os.environ["PATH"]
    sys.exit(subprocess.run(sys.argv[4:], env={{**os.environ, "PATH": path}}).returncode)
else:
    sys.exit(2)
"""


def conda(root: Path, *, extra: tuple[Path, ...] = (), full: bool = True, compact: bool = False) -> Path:
    """Install the stand-in, whose environments are the folders in `envs` beside it. Returns the program."""
    program = root / "bin" / "conda"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        PROGRAM.format(
            python=sys.executable, root=str(root), folders=[str(root / "envs"), str(root / "more envs")],
            extra=[str(each) for each in extra], full=full, indent=None if compact else 2,
        )
    )  # fmt: skip
    program.chmod(0o755)
    return program
