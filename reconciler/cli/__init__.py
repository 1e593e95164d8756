"""The `reconcile` command. Importing it imports no database, cloud or YAML: `--help` has to be quick."""


def main() -> None:
    """Run the command line of this process, and exit with its status."""
    from reconciler.cli.root import root

    root(prog_name="reconcile")


__all__ = ["main"]
