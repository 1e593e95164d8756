"""What the queue, the sink and the doors for RAMP's users share of RAMP's database: the schema of ramp-database 0.10.

Tables of our own, with the columns that we touch: states and scores need no package of RAMP's. Leaderboards are made by
RAMP's own tool, in a process of its own.
"""
