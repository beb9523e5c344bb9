"""Runs every recorded session again, in a copy of its data directory: the tenth check of `ruche verify`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ruche.engine.config import Settings
from ruche.engine.host import known_enforcers, open_store
from ruche.engine.replay import Replayed, load, replay
from ruche.plugins.errors import ConfigurationError, Erased, IntegrityError, NotFound
from ruche.plugins.registry import Registry
from ruche.storage.platform import private_directory
from ruche.storage.store import Store


class Again(NamedTuple):
    """How many runs came out the same; which differed, by id and why; how many could not be run, and how many are
    erased."""

    same: int
    differences: tuple[tuple[str, str], ...]
    left_out: int
    erased: int


async def run_all_again(settings: Settings) -> Again:
    """The data directory is copied first, so that nothing is written to it; its keys must be those of the settings."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "data"
        shutil.copytree(settings.data, copy, ignore=lambda _, names: [one for one in names if one == "lock"])
        private_directory(copy)
        key_file = settings.storage.key_file or settings.data / "keys" / "root.key"
        storage = settings.storage.model_copy(update={"key_file": key_file.absolute()})
        store = await open_store(settings.model_copy(update={"data": copy, "storage": storage}))
        try:
            return await _all(store)
        finally:
            store.close()


async def _all(store: Store) -> Again:
    same = left_out = erased = 0
    differences: list[tuple[str, str]] = []
    enforcers = known_enforcers(Registry())
    for tenant, session in list(store.all_sessions()):
        view = store.tenant(tenant)
        try:
            runs = view.runs(session=session, limit=1).items  # the last one; those before it are run again with it
            if not runs:
                continue
            replayed = await replay(load(view, runs[0].id), enforcers)
        except Erased:
            erased += 1
            continue
        except (NotFound, IntegrityError, ConfigurationError):
            left_out += runs[0].sequence + 1 if runs else 0
            continue
        same += replayed.earlier + (replayed.difference is None)
        differences += _told(replayed)
    return Again(same, tuple(differences), left_out, erased)


def _told(replayed: Replayed) -> list[tuple[str, str]]:
    found = replayed.difference
    if found is None:
        return []
    return [(replayed.run.session, f"turn {found.turn} comes out differently when it is run again: {found.site}")]
