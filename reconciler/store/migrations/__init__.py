"""The schema's steps, run by the program itself (upgrade.py). For a new one: see docs/database.md."""
