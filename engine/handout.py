"""Everything that is held about a person, under all of their names, as a ZIP of JSON files that anybody can read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import msgspec

from ruche.storage.episodes import content
from ruche.storage.errors import Erased
from ruche.storage.model.conversation import Profile, SessionState
from ruche.storage.secured import Page
from ruche.storage.tenant import TenantStore
from ruche.storage.times import day_of

_PAGE = 100
_MEMORIES = 100_000

T = TypeVar("T")


def archive(view: TenantStore, tenant: str, name: str) -> bytes:
    """The ZIP of the person who goes by this name."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as made:
        for path, body in _files(view, tenant, view.names_of(name)):
            made.writestr(path, body)
    return kept.getvalue()


def _files(view: TenantStore, tenant: str, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """(name in the archive, JSON)."""
    own, *others = (view.profile(name) or Profile(interlocutor=name, tenant=tenant) for name in names)
    yield "profile.json", _json(own)
    if others:
        yield "identities.json", _json([
            {"identity": one.interlocutor, "linked": view.identity(one.interlocutor), "profile": one}
            for one in others])
    yield "memories.json", _json([one.utterance for one in view.memories_of(names, _MEMORIES)])
    yield "episodes.json", _json([content(one) for name in names
                                  for one in _every(partial(view.episodes, interlocutor=name))])
    for session in _every(partial(view.sessions, names=names)):
        yield f"sessions/{session.id}.json", _json(session)
        yield from _runs(view, session)


def _runs(view: TenantStore, session: SessionState) -> Iterator[tuple[str, bytes]]:
    """Each run in its canonical bytes, with what was added to it beside it."""
    for run in _every(partial(view.runs, session=session.id, oldest_first=True)):
        try:
            body, added = view.canonical_run(run.id), view.advisories(run.id)
        except Erased:
            continue
        place = f"runs/{day_of(run.created_ms)}/{run.id}"
        yield f"{place}.json", body or b"{}"
        if added:
            yield f"{place}.advisories.json", _json(added)


def _every(list_page: Callable[..., Page[T]]) -> Iterator[T]:
    """Every item of a list that comes in pages."""
    cursor: str | None = None
    while True:
        page = list_page(limit=_PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)
