"""Clouds: where machines come from and go to. Each is one file behind the Protocol in base.py."""
