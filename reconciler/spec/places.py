"""Which place a pool's machines are born in, and the settings that they keep from their birth."""

import json
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from reconciler.model.offer import Place
from reconciler.spec.canonical import settings_to_json
from reconciler.spec.options import LocalCloud
from reconciler.spec.values import Config, Pool

# What tells one place of a cloud from another. Everything else may differ between machines of one place.
TELLING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "local": ("folder",),
        # Keys as ${NAME}: what they stand for is in the environment alone.
        "ec2": ("region", "profile", "access_key_id", "secret_access_key", "session_token", "endpoint_url"),
        "ssh": ("machines", "user", "key_path", "via", "known_hosts"),
    }
)

# Where in its settings a cloud says between which zones an offer may choose; the first list that is not empty counts.
ZONES: Mapping[str, tuple[str, ...]] = MappingProxyType({"ec2": ("subnets", "zones")})


def zones(pool: Pool) -> tuple[str, ...]:
    """What `Offer.zone` may be, in the pool's order: only "wherever the cloud likes" where the pool names none."""
    lists: list[tuple[str, ...]] = [getattr(pool.cloud.settings, key) for key in ZONES.get(pool.cloud.kind, ())]
    return next(filter(None, lists), ("",))


def cloud_settings(pool: Pool, config: Config) -> str:
    """The pool's cloud settings as its machines keep them: canonical JSON, with the defaults that config.yml gives."""
    choice = pool.cloud
    if isinstance(choice.settings, LocalCloud) and choice.settings.folder is None:
        choice = attrs.evolve(choice, settings=attrs.evolve(choice.settings, folder=config.state / "machines"))
    return settings_to_json(choice)


def place(pool: Pool, config: Config) -> Place:
    """Where the pool's machines are bought today."""
    settings = json.loads(cloud_settings(pool, config))
    telling = {key: settings.get(key) for key in TELLING[pool.cloud.kind]}
    return Place(cloud=pool.cloud.kind, settings=json.dumps(telling, sort_keys=True, separators=(",", ":")))
