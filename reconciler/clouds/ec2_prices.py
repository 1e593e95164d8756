"""What machines of EC2 cost: the user's own table first, else spot's last price, else the public price list."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reconciler.clouds.base import CloudError, Here
from reconciler.clouds.ec2_account import Account
from reconciler.model.offer import Market, Offer
from reconciler.spec.canonical import settings_from_json, to_json
from reconciler.spec.options import Ec2Cloud

PRICING_REGION = "us-east-1"  # where the Price List API answers for all regions ("Query API endpoints")
PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
SUBNET = "subnet-"


async def price(settings: str, offers: Collection[Offer], here: Here) -> Mapping[Offer, float]:
    """US dollars an hour, for the offers of which it can be known."""
    options = settings_from_json(settings, Ec2Cloud)
    known = {
        offer: options.prices[offer.type]
        for offer in offers
        if offer.type in options.prices and offer.market is Market.ON_DEMAND
    }
    account = Account(json.loads(to_json(options)), here.environ)
    try:
        rest = [offer for offer in offers if offer not in known]
        spot = {offer.type for offer in rest if offer.market is Market.SPOT}
        zones = await _spot(account, sorted(spot))
        for offer in rest:
            found = _of_spot(zones, offer) if offer.market is Market.SPOT else await _on_demand(account, offer.type)
            if found is None and offer.market is Market.SPOT:
                found = options.prices.get(offer.type)  # what the user's own table says is the most that it costs
            if found is not None:
                known[offer] = found
    finally:
        await account.close()
    return known


async def _spot(account: Account, types: Sequence[str]) -> Mapping[tuple[str, str], float]:
    """The last price of each type in each zone; none where we may not ask."""
    if not types:
        return {}
    latest: dict[tuple[str, str], tuple[Any, float]] = {}
    asked: dict[str, Any] = {"InstanceTypes": list(types), "ProductDescriptions": list(PRODUCTS), "MaxResults": 1000}
    try:
        # Without a start the history is the last price of each: one page is enough for what people configure.
        answer = await account.call("describe_spot_price_history", StartTime=_now(), **asked)
    except CloudError:
        return {}
    for entry in answer["SpotPriceHistory"]:
        key = (str(entry["InstanceType"]), str(entry["AvailabilityZone"]))
        if key not in latest or entry["Timestamp"] > latest[key][0]:
            latest[key] = (entry["Timestamp"], float(entry["SpotPrice"]))
    return {key: value for key, (_, value) in latest.items()}


def _now() -> Any:
    """With the present as its start, the history holds the prices that are in force ("StartTime", API reference)."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _of_spot(zones: Mapping[tuple[str, str], float], offer: Offer) -> float | None:
    """The price in the offer's zone; for a subnet, or any zone, the highest of all zones."""
    here = zones.get((offer.type, offer.zone))
    everywhere = [value for (kind, _), value in zones.items() if kind == offer.type]
    return here if here is not None else max(everywhere, default=None)


async def _on_demand(account: Account, kind: str) -> float | None:
    """The list price of a Linux machine on shared hardware."""
    wanted = {
        "instanceType": kind, "regionCode": account.region, "operatingSystem": "Linux", "tenancy": "Shared",
        "preInstalledSw": "NA", "capacitystatus": "Used",
    }  # fmt: skip
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    try:
        answer = await account.call(
            "get_products", service="pricing", region=PRICING_REGION, ServiceCode="AmazonEC2", Filters=filters
        )
    except CloudError:
        return None
    return next(filter(None, map(listed, answer["PriceList"])), None)


def listed(text: str) -> float | None:
    """The price an hour in one product's JSON; None where it has none, or is none."""
    try:
        terms = json.loads(text)["terms"]["OnDemand"].values()
        dimensions = [each for term in terms for each in term["priceDimensions"].values()]
        prices = [float(each["pricePerUnit"]["USD"]) for each in dimensions if each["unit"] == "Hrs"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return next((each for each in prices if each > 0), None)
