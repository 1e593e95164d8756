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
TELLING: Mapping[str, tuple[str, ...]] = MappingProxyType({"local": ("folder",)})


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
