"""Real machines for tests, as far as one computer can play them: see sshd.py."""
