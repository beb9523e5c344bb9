"""What agents remember, between the store and the memory service: learnt from committed turns, read when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ruche.actors.courier import Undeliverable
from ruche.plugins.errors import Erased
from ruche.storage.model.memory import AGENT, PERSON, Remembered, Utterance
from ruche.storage.model.record import UtterancesKept

if TYPE_CHECKING:
    from ruche.actors.memory import Memories
    from ruche.actors.scribe import Scribe
    from ruche.engine.identities import Linked
    from ruche.storage.model.event import OutboxItem
    from ruche.storage.model.run import Run


class ScribeShelves:
    """`actors.memory.Shelves` in the store."""

    def __init__(self, scribe: Scribe, linked: Linked) -> None:
        self._scribe, self._linked = scribe, linked

    async def load(self, tenant: str, person: str) -> list[Remembered]:
        """Under all of the person's names."""
        names = self._linked.names(tenant, person)
        return await self._scribe.read(lambda store: store.tenant(tenant).memories_of(names))

    async def keep(self, tenant: str, person: str, memories: Sequence[Remembered]) -> None:
        """Raises Erased when the person left after this was said: nothing of theirs may come back."""
        turn = memories[0].utterance.turn
        await self._scribe.read(lambda store: store.tenant(tenant).run(turn))
        await self._scribe.commit(UtterancesKept(tenant=tenant, at_ms=memories[-1].utterance.at_ms,
                                                 interlocutor=person, memories=tuple(memories)))


class Learning:
    """The courier's route for turns to be learnt: as often as it takes, and learnt once."""

    def __init__(self, scribe: Scribe, memories: Memories) -> None:
        self._scribe, self._memories = scribe, memories

    async def deliver(self, tenant: str, item: OutboxItem) -> None:
        """Raises what storage and the embedder raise: then it is tried again."""
        person, name = str(item.payload["interlocutor"]), str(item.payload["run"])
        try:
            run = await self._scribe.read(lambda store: store.tenant(tenant).run(name))
            if run is not None:
                await self._memories.remember(tenant, person, said(run))
        except Erased as error:
            raise Undeliverable(error.message) from error


def said(run: Run) -> list[Utterance]:
    """What a turn adds to the memory: the person's words and the reply as it was delivered."""
    texts = ((PERSON, "\n".join(run.said)), (AGENT, run.reply))
    return [Utterance(id=f"{run.id}:{number}", session=run.session, speaker=speaker, at_ms=run.created_ms, text=text,
                      turn=run.id) for number, (speaker, text) in enumerate(texts) if text.strip()]
