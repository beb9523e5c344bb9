"""Benchmarks: `python -m bench.NAME`. Speed is measured here and never by a timed test."""
