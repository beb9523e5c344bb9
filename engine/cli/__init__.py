"""The `ruche` command: one file per group."""
