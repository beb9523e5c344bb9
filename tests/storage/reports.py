"""What `verify` says of a directory, and the checkpoint that an auditor kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruche.storage.checkpoints import PublicKey, read_checkpoint, read_note
from ruche.storage.evidence import Evidence
from ruche.storage.verifying import verify
from tests.storage.records import StaticKey

DAY = 86_400_000


def report(directory: Path, *, keys: bool = True, held: Any = (), key: PublicKey | None = None) -> dict[str, Any]:
    found = verify(directory, Evidence(directory, StaticKey() if keys else None), held, key)
    return {check["name"]: check for check in found["checks"]}


def failed(directory: Path, **options: Any) -> set[str]:
    """Names of the checks that fail; the fixtures' runs name no agent version that exists."""
    return {name for name, check in report(directory, **options).items() if check["status"] == "fail"} - {
        "configuration"}


def hold(directory: Path, number: int = -1) -> Any:
    """A checkpoint as an auditor keeps it."""
    from ruche.storage.notary import read_notes

    note = read_note(read_notes(directory / "log" / "checkpoints")[number])
    return [(read_checkpoint(note.text), note)]
