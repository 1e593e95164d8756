"""Which clouds there are. A new one is its file, a line here, and its options in spec/options.py."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from reconciler.clouds.base import Cloud
from reconciler.model.offer import Place


def _local(place: Place, settings: str) -> Cloud:
    from reconciler.clouds.local import LocalCloud
    from reconciler.spec import options
    from reconciler.spec.canonical import settings_from_json

    return LocalCloud(place, delay=settings_from_json(settings, options.LocalCloud).delay if settings else 0.0)


# Kind → a cloud at a place, reached by cloud settings (canonical JSON; empty where only the place is known).
CLOUDS: Mapping[str, Callable[[Place, str], Cloud]] = MappingProxyType({"local": _local})
