"""The deterministic simulation: the real loop, decisions and store, on virtual time, in a world that misbehaves."""
