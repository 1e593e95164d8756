"""Ways into a machine. A host runs jobs by the agent in on_host/, which is the same over every way in."""
