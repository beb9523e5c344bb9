"""The turn: one file per phase, in order."""
