"""The suites of `python -m bench.quality`: each reads a folder of a format and asks the engine's own code."""
