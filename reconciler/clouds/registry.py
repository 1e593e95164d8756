"""Which clouds there are. A new one is its file, a line here, and its options in spec/options.py."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from reconciler.clouds.base import Cloud
from reconciler.model.offer import Place


def _local(place: Place, _settings: str) -> Cloud:
    from reconciler.clouds.local import LocalCloud

    return LocalCloud(place)


# Kind → a cloud at a place, reached by cloud settings (canonical JSON; empty where only the place is known).
CLOUDS: Mapping[str, Callable[[Place, str], Cloud]] = MappingProxyType({"local": _local})
