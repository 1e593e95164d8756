"""Brings the schema to this version. Imported only where it is not there yet: alembic takes its time to import."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def is_known(version: str) -> bool:
    """Whether a step of this program leads to the version; else a newer program wrote it."""
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(step.revision == version for step in steps)


def upgrade(connection: Connection) -> None:
    """Run the missing steps within the transaction that the connection is in."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
