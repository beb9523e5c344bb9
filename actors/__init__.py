"""Who does the work: the actor runtime, the sessions and the shared services."""
