"""Doors for people who come from elsewhere: their files, read as ours, and their commands, on the same loop."""
