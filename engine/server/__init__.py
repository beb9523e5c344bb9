"""The HTTP endpoint: one file per resource."""
