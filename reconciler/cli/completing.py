"""What a shell completes names from: the database, read and never written. Whatever goes wrong, nothing is offered."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reconciler.store.queries import Queries

MOST = 200  # submissions that are offered: the latest


def submission_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Labels of submissions that begin so."""
    return _offered(ctx, incomplete, submissions=True, instances=False)


def instance_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Ids of machines that live and begin so; the cloud's, where that is what was begun."""
    return _offered(ctx, incomplete, submissions=False, instances=True)


def either_name(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Both."""
    return _offered(ctx, incomplete, submissions=True, instances=True)


def _offered(ctx: click.Context, incomplete: str, *, submissions: bool, instances: bool) -> list[str]:
    try:
        from reconciler.cli.deployment import peeking
        from reconciler.cli.options import config_path
        from reconciler.spec.loader import load_config

        with peeking(load_config(config_path(ctx))) as rows:
            known = [
                *(_submissions(rows) if submissions else ()),
                *(_instances(rows, incomplete) if instances else ()),
            ]
    except Exception:  # a shell in the middle of a line is no place for an error, whatever it is
        return []
    return [name for name in dict.fromkeys(known) if name.startswith(incomplete)]


def _submissions(rows: "Queries") -> list[str]:
    return [row.label for row in rows.submissions(limit=MOST)]


def _instances(rows: "Queries", incomplete: str) -> list[str]:
    live = rows.instances()
    return [row.id for row in live] + ([row.cloud_id for row in live if row.cloud_id] if incomplete else [])
