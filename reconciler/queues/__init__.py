"""Queues: where submissions come from. Each is one file behind the Protocol in base.py."""
