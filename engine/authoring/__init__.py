"""Agent folders: load, check, publish. `load_folder` is the door; nothing here writes into a folder."""
