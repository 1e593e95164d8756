"""Options for one seed: `pytest tests/simulation/test_seeds.py --seed 1234 --tell`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which seed, and whether to print all that happens."""
    parser.addoption("--seed", type=int, default=None, help="replay the long story of one seed")
    parser.addoption("--tell", action="store_true", default=False, help="print everything that happens in the story")
