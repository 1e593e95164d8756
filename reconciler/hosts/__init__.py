"""Ways into a machine. A host runs jobs by the agent in agent.sh, which is the same over every way in."""
