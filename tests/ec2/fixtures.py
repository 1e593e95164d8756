"""The EC2 of tests, as fixtures that every test may ask for: one server for a worker, emptied for each test."""

from collections.abc import Iterator

import pytest

from tests.ec2.control import Ec2, running


@pytest.fixture(scope="session")
def ec2_server() -> Iterator[Ec2]:
    with running() as server:
        yield server


@pytest.fixture
def ec2(ec2_server: Ec2) -> Ec2:
    ec2_server.reset()
    return ec2_server
