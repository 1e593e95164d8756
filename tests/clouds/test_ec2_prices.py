"""What machines cost, and the host keys that a console tells."""

from base64 import b64encode

import pytest

from reconciler.clouds.ec2_prices import listed
from reconciler.clouds.ec2_ssh import console_keys, decoded, keys_in
from reconciler.clouds.registry import PRICES
from reconciler.model.offer import Offer
from reconciler.spec.canonical import to_json
from tests.clouds.cloud_cases import run
from tests.clouds.ec2_cases import NOBODY, SPOT, TYPE, cloud, here, options
from tests.ec2.control import REGION, Ec2

OURS, LISTED, NEITHER = Offer(type="m5.large"), Offer(type=TYPE), Offer(type="t3.micro")
CONSOLE = """[   11.1] cloud-init[800]: done
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2VjZHNh root@ip-10-0-0-1
ssh-ed25519 AAAAC3NzaC1l root@ip-10-0-0-1
[   12.3] cloud-init[900]: ssh-rsa AAAAB3NzaC1y root@ip-10-0-0-1
-----END SSH HOST KEY KEYS-----
login:
"""
KEYS = ("ecdsa-sha2-nistp256 AAAAE2VjZHNh", "ssh-ed25519 AAAAC3NzaC1l", "ssh-rsa AAAAB3NzaC1y")


def test_the_users_table_the_price_list_and_what_nobody_knows(ec2: Ec2) -> None:
    ec2.set(prices={TYPE: 0.192, "m5.large": 0.107})
    settings = to_json(options(ec2, prices={"m5.large": 0.05}))
    assert run(PRICES["ec2"]()(settings, [OURS, LISTED, NEITHER], here())) == {OURS: 0.05, LISTED: 0.192}
    assert ec2.calls()["GetProducts"] == 2


def test_spot_has_its_own_price(ec2: Ec2) -> None:
    offers = [Offer(type=TYPE, market=SPOT, zone=f"{REGION}a"), Offer(type=TYPE, market=SPOT)]
    found = run(PRICES["ec2"]()(to_json(options(ec2)), offers, here()))
    assert found.keys() == set(offers)
    assert all(price > 0 for price in found.values())
    assert ec2.calls() == {"DescribeSpotPriceHistory": 1}


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "RequestLimitExceeded", "InternalError"])
def test_what_we_may_not_ask_is_unknown(ec2: Ec2, code: str) -> None:
    ec2.fault("*", code, status=403, times=9)
    offers = [LISTED, Offer(type=TYPE, market=SPOT)]
    assert run(PRICES["ec2"]()(to_json(options(ec2)), offers, here())) == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"terms": {"OnDemand": 3}}', '{"terms": {"OnDemand": {"a": {"priceDimensions": {}}}}}'],
)
def test_a_product_without_a_price_has_none(text: str) -> None:
    assert listed(text) is None


def test_the_keys_of_a_console() -> None:
    assert keys_in(CONSOLE) == KEYS
    assert keys_in(CONSOLE.replace("AAAA", "OLD") + CONSOLE) == KEYS
    assert keys_in(CONSOLE.partition("ssh-rsa")[0]) == ()
    assert keys_in("") == ()
    assert decoded(b64encode(CONSOLE.encode()).decode()) == CONSOLE
    assert decoded("not base64!") == "not base64!"


def test_keys_are_read_from_ec2_and_none_where_it_does_not_say(ec2: Ec2) -> None:
    with cloud(options(ec2)) as made:
        assert run(console_keys(made._account, NOBODY)) == ()
        ec2.console(NOBODY, CONSOLE)
        assert run(console_keys(made._account, NOBODY)) == KEYS
        ec2.fault("GetConsoleOutput", "UnauthorizedOperation", status=403)
        assert run(console_keys(made._account, NOBODY)) == ()
