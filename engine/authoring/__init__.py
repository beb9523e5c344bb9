"""Agent folders: load, check, publish."""
