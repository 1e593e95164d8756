"""Frozen values that every room speaks of. Nothing here reads a file, a clock or a network."""
