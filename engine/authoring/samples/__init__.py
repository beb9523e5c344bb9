"""Agents that ship with the engine, as plain folders: to talk to at once, to read, and to begin with."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
STARTER = "starter"


def sample_names() -> list[str]:
    """All of them, the starter that `ruche init` copies included; sorted."""
    return sorted(folder.name for folder in _HERE.iterdir() if (folder / "agent.yaml").is_file())


def sample_folder(name: str) -> Path:
    """The folder of a sample. Raises KeyError for an unknown name."""
    if name not in sample_names():
        raise KeyError(name)
    return _HERE / name


def served_samples() -> list[Path]:
    """The samples that a first start serves: all but the starter."""
    return [sample_folder(name) for name in sample_names() if name != STARTER]
