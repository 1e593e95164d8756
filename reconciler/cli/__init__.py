"""The `reconcile` command. Importing it imports no database, cloud or YAML: `--help` has to be quick."""

from reconciler.cli.root import root as main

__all__ = ["main"]
