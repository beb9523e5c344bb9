"""What a tenant remembers from elsewhere: episodes, clusters, wisdom and companions that were brought in."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from ruche.storage.belongings import episode_name
from ruche.storage.model.record import EpisodeKept
from ruche.storage.rows import EpisodeRow
from ruche.storage.secured import Door, Filter, Page

EpisodeKind = Literal["episode", "cluster", "wisdom", "companion"]
KINDS: tuple[EpisodeKind, ...] = get_args(EpisodeKind)

_episode = msgspec.msgpack.Decoder(EpisodeKept).decode


class Episodes:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._episodes = door.handle(tenant, EpisodeRow)

    def get(self, kind: str, id: str) -> EpisodeKept | None:
        row = self._episodes.get(episode_name(kind, id))
        return None if row is None else _episode(row["record"])

    def page(self, *, kind: str | None, interlocutor: str | None, limit: int, cursor: str | None) -> Page[EpisodeKept]:
        """Newest day first."""
        filters = [Filter(name, "=", value) for name, value in (("kind", kind), ("person", interlocutor))
                   if value is not None]
        rows, following = self._episodes.page(*filters, order=("day", "number"), limit=limit, cursor=cursor)
        return Page(tuple([_episode(row["record"]) for row in rows]), following)


def content(episode: EpisodeKept) -> Any:
    """What it says, as plain values."""
    return msgspec.json.decode(episode.body)
