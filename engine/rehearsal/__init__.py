"""Runs an agent's test conversations on a real engine, with a clock, a model and tools that the test decides."""
