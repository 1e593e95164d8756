"""The tags that every machine of ours carries, in the request that buys it, so that it is never nobody's."""

CONTROLLER = "reconciler:controller"
DATABASE = "reconciler:database"
POOL = "reconciler:pool"
TOKEN = "reconciler:token"  # noqa: S105 (a tag's name)
SPEC = "reconciler:spec"
ADDRESS = "reconciler:address"  # `private`: where a machine answers, if not at its public address
REQUEST = "reconciler:request"  # a fingerprint of the frozen request: what was bought is what was asked for
