"""The examples that cannot be run everywhere are read, at least: their files are good, and what they need is named."""

import re
from pathlib import Path

import pytest

from reconciler.spec.loader import load_config, load_pools, queue_problems

EC2 = Path(__file__).parents[2] / "examples" / "ec2"


def test_the_example_of_ec2_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = set(re.findall(r"\$\{(\w+)\}", (EC2 / "pools" / "iris.yml").read_text(encoding="utf-8")))
    told = (EC2 / "README.md").read_text(encoding="utf-8")
    for name in needed:
        assert f"{name}=" in told
        monkeypatch.setenv(name, "/there/it-is")
    config = load_config(EC2 / "config.yml")
    pools = load_pools(config.pools)
    assert not pools.problems
    assert not queue_problems(config, pools)
    assert config.queue.folder is not None
    assert any(config.queue.folder.iterdir())
