"""Reads a tree of plain JSON memories: DIR/episodes/*.json, clusters/*.json, wisdom/*.json, companions/*.json.

Ids and times are looked for under the names that such trees use; everything else is taken over as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruche.storage.episodes import EpisodeKind
from ruche.storage.errors import ConfigurationError
from ruche.storage.migrate import Item, Problem, State, read_document
from ruche.storage.model.record import AnyRecord, EpisodeKept
from ruche.storage.model.run import canonical
from ruche.storage.payload import EPISODE_BYTES
from ruche.storage.tenant import TenantStore
from ruche.storage.times import BadTime, milliseconds


class Form(NamedTuple):
    """Where memories of one kind lie, and under which names their id, time and person stand, the first that is there.
    """

    folder: str
    ids: tuple[str, ...]
    times: tuple[str, ...]
    persons: tuple[str, ...] = ()


FORMS: Final[dict[EpisodeKind, Form]] = {
    "episode": Form("episodes", ("episode_id", "memory_id", "id"), ("timestamp", "created_at"),
                    ("human_participant", "interlocutor", "person")),
    "cluster": Form("clusters", ("cluster_id", "id"), ("latest_memory", "earliest_memory", "created_at")),
    "wisdom": Form("wisdom", ("consolidation_id", "wisdom_id", "id"), ("created_at", "timestamp")),
    "companion": Form("companions", ("companion_id", "relationship_id", "id"),
                      ("last_interaction", "last_seen", "first_interaction", "created_at"),
                      ("human_identifier", "human", "person")),
}


class EpisodeTree:
    """One tree, read for one tenant. `zone` says what times without a zone are: None refuses them."""

    def __init__(self, directory: Path, tenant: str, *, assume_utc: bool = False) -> None:
        """Raises ConfigurationError for a folder in which none of the kinds is."""
        if not any((directory / form.folder).is_dir() for form in FORMS.values()):
            raise ConfigurationError(f"{directory}: none of {', '.join(form.folder for form in FORMS.values())} is in "
                                     "this folder; name the one that holds them")
        self._directory, self._tenant, self._assume_utc = directory, tenant, assume_utc

    def items(self) -> Iterator[Item | Problem]:
        """By kind, then by file name, also from folders below."""
        for kind, form in FORMS.items():
            for path in sorted((self._directory / form.folder).rglob("*.json")):
                document = read_document(path)
                yield document if isinstance(document, Problem) else self._item(kind, form, path, document)

    def _item(self, kind: EpisodeKind, form: Form, path: Path, document: dict[str, Any]) -> Item | Problem:
        name = next((str(document[key]) for key in form.ids if document.get(key)), "")
        if not name:
            return Problem(path.name, f"has no id; one of {', '.join(form.ids)} is needed")
        if len(canonical(document)) > EPISODE_BYTES:
            return Problem(path.name, f"has more than {EPISODE_BYTES} bytes")
        try:
            self._time(form, document)
        except BadTime as error:
            return Problem(path.name, str(error))
        return Item(path, kind, f"{kind} {name}", document)

    def state(self, view: TenantStore, item: Item) -> State:
        kept = view.episode(item.kind, item.name.partition(" ")[2])
        if kept is None:
            return "new"
        return "same" if _hash(kept.body) == _hash(canonical(item.document)) else "other"

    def records(self, view: TenantStore | None, item: Item) -> Sequence[AnyRecord]:
        kind: EpisodeKind = item.kind  # type: ignore[assignment]
        form = FORMS[kind]
        person = next((str(item.document[key]) for key in form.persons if item.document.get(key)), "")
        return [EpisodeKept(tenant=self._tenant, at_ms=self._time(form, item.document), kind=kind,
                            id=item.name.partition(" ")[2], interlocutor=person, body=canonical(item.document))]

    def _time(self, form: Form, document: dict[str, Any]) -> int:
        found = next((document[key] for key in form.times if document.get(key)), None)
        return milliseconds(found, assume_utc=self._assume_utc)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
