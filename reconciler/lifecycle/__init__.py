"""The state machines, as tables. The only room that names states and edges; everything else looks them up here."""
