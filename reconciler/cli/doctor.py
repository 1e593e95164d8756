"""`doctor`: whether this computer and these files are fit for a run, and what to do where they are not."""

import click

from reconciler.cli.failing import FAILED, USAGE, Stop
from reconciler.cli.options import command, config_option, config_path, json_option
from reconciler.cli.printing import cell, print_json, show, table

STYLES = (("ok", "green"), ("problem", "red"), ("could not check", "yellow"))


@command("doctor", "reconcile doctor", "reconcile doctor --config iris.yml --json")
@config_option()
@json_option()
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check what a run needs: config, pools, database, folders, disk, tools. Nothing is changed.

    Exit status: 0 all is well or could not be checked, 2 the configuration has a problem, 1 something else has one.
    """
    from reconciler.cli.checks import PROBLEM, examine

    found = list(examine(config_path(ctx)))
    if as_json:
        print_json([{"check": each.check, "result": each.result, "text": each.text} for each in found])
    else:
        styles = dict(STYLES)
        rows = [(each.check, cell(each.result, styles[each.result]), each.text) for each in found]
        show(table(("CHECK", "RESULT", ""), rows, fold=("",)))
    bad = [each for each in found if each.result == PROBLEM]
    if bad:
        raise Stop(USAGE if any(each.usage for each in bad) else FAILED)
