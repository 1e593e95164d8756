"""The database: what was committed to, behind one guarded write path. Only this room imports SQLAlchemy."""
