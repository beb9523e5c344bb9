"""Sessions on a real store in a real directory, with a brain that does what a test tells it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from msgspec.structs import replace

from ruche.actors.dead_letters import keeper
from ruche.actors.directory import Directory, Policy
from ruche.actors.fair import FairGate
from ruche.actors.hosting import Hosting
from ruche.actors.logical import Taken
from ruche.actors.scribe import Scribe
from ruche.actors.session import Look, Say, SessionActor
from ruche.actors.system import ActorSystem
from ruche.plugins.contracts import Stage, TurnInput, TurnOutput
from ruche.plugins.tape import Tape
from ruche.storage.model.conversation import Exchange, Message, Profile, SessionKey
from ruche.storage.model.event import Event
from ruche.storage.model.run import Run, RunHashes, chain_link, digest, state_hash
from ruche.storage.model.turn import Enforcement, Turn
from ruche.storage.platform import Disk
from ruche.storage.store import Store

ENGINE = "rig 1"
KEY = SessionKey(tenant="acme", agent="desk", interlocutor="kim", channel="api")
WEB = replace(KEY, channel="web")
ENDINGS = ("turn.completed", "turn.failed")
Script = Callable[[TurnInput, Stage, Tape], Awaitable[str]]

_numbers = itertools.count(1)


class RootKey:
    def root_key(self) -> bytes:
        return bytes(range(32))


async def echo(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    return "you said: " + " / ".join(message.text for message in turn.messages)


class ScriptedBrain:
    """Says what the script returns; released segments come first. Counts how many turns of a session overlap."""

    def __init__(self, script: Script = echo) -> None:
        self.script = script
        self.turns: list[TurnInput] = []
        self.begun = asyncio.Event()
        self.running: Counter[str] = Counter()
        self.most_at_once = 0
        self.profile: Profile | None = None

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        self.turns.append(turn)
        self.running[str(turn.session.key)] += 1
        self.most_at_once = max(self.most_at_once, self.running[str(turn.session.key)])
        self.begun.set()
        try:
            reply = await self.script(turn, stage, tape)
            return output(turn, reply, tape, profile=self.profile)
        finally:
            self.running[str(turn.session.key)] -= 1


def output(turn: TurnInput, reply: str, tape: Tape, *, profile: Profile | None = None, **changes: Any) -> TurnOutput:
    """A turn's output as a brain makes it."""
    before, now = turn.session, tape.now_ms()
    said = tuple(message.text for message in turn.messages)
    after = replace(before, turn_count=before.turn_count + 1, last_activity_ms=now,
                    history=(*before.history, Exchange(turn_id=turn.turn_id, said=said, reply=reply))[-10:])
    key = before.key
    run = Run(
        id=turn.turn_id, sequence=before.turn_count, previous=chain_link(before, ENGINE), tenant=key.tenant,
        agent=key.agent, agent_version=1, session=before.id, interlocutor=key.interlocutor, channel=key.channel,
        request_id=turn.request_id, created_ms=now, engine=ENGINE, outcome="OK", status="complete",
        response_type="ANSWER", risk="GREEN", language="en", message_ids=tuple(m.id for m in turn.messages), said=said,
        reply=reply, enforcement=Enforcement(risk="GREEN"), tape=tape.entries(),
        hashes=RunHashes(configuration="", input=digest(turn.messages), state_before=state_hash(before),
                         state_after=state_hash(after), evaluation="", output=digest(reply)))
    run = replace(run, **changes)
    return TurnOutput(session=replace(after, previous_run=digest(run)), run=run, profile=profile)


class Rig:
    def __init__(self, store: Store, scribe: Scribe, hosting: Hosting, directory: Directory[SessionActor]) -> None:
        self.store = store
        self.scribe = scribe
        self.hosting = hosting
        self.directory = directory

    async def say(self, text: str, key: SessionKey = KEY, **options: Any) -> Any:
        """Ask the session; fields of Message and of Say may be given by name."""
        named = {name: options.pop(name) for name in ("idempotency_key", "fingerprint", "id") if name in options}
        return await self.directory.ask(str(key), Say(message(text, **named), **options))

    async def turn(self, text: str, key: SessionKey = KEY, **options: Any) -> Turn:
        answer = await self.say(text, key, **options)
        assert isinstance(answer, Turn)
        return answer

    async def events(self, session_id: str, after: int = 0) -> list[Event]:
        return await self.scribe.read(lambda store: store.tenant(KEY.tenant).events(session_id, after))

    async def runs(self, session_id: str) -> list[Run]:
        page = await self.scribe.read(lambda store: store.tenant(KEY.tenant).runs(
            session=session_id, oldest_first=True, limit=100))
        return list(page.items)

    async def replay(self, session_id: str, after: int, limit: int) -> list[Event]:
        return await self.scribe.read(lambda store: store.tenant(KEY.tenant).events(session_id, after, limit))


def message(text: str, **fields: Any) -> Message:
    return Message(id=fields.pop("id", f"m{next(_numbers):06}"), text=text, at_ms=fields.pop("at_ms", 1_000), **fields)


def hosting_of(brain: ScriptedBrain, scribe: Scribe, **options: Any) -> Hosting:
    return Hosting(brain=brain, scribe=scribe, gate=options.pop("gate", FairGate(8, 8)), engine=ENGINE, **options)


async def ending(taken: Taken) -> Event:
    """The last event of the turn that answers a message which was sent with want="events"."""
    assert taken.listener is not None
    with anyio.fail_after(20):
        while (event := await taken.listener.next()).kind not in ENDINGS or event.turn_id != taken.turn_id:
            pass
    taken.listener.close()
    return event


async def ended(it: Rig, session_id: str, turns: int) -> None:
    """Return once the session has ended so many turns."""
    with anyio.fail_after(20):
        async with aclosing(it.hosting.feeds.follow(session_id, 0, it.replay)) as events:
            async for event in events:
                turns -= event.kind in ENDINGS
                if not turns:
                    return


async def passivated(it: Rig, key: SessionKey) -> None:
    """Have an idle session let go, and return once it is gone."""
    gone = asyncio.Event()
    await it.directory.ask(str(key), Look())
    it.directory.monitor(str(key), lambda _: gone.set())
    assert it.directory.sweep() == 1
    with anyio.fail_after(20):
        await gone.wait()


@asynccontextmanager
async def rig(path: Path, brain: ScriptedBrain, *, disk: Disk | None = None, reserve_bytes: int = 0,
              policy: Policy | None = None, **options: Any) -> AsyncIterator[Rig]:
    """Open the store in `path`, serve sessions, and close everything in order."""
    with Store.open(path / "data", RootKey(), disk=disk, reserve_bytes=reserve_bytes) as store:
        async with ActorSystem():
            scribe = Scribe(store)
            hosting = hosting_of(brain, scribe, **options)
            yield Rig(store, scribe, hosting, Directory(SessionActor, hosting, policy=policy,
                                                        on_dead_letter=keeper(hosting)))


async def all_of(*works: Awaitable[Any]) -> list[Any]:
    """The results, in order; works begin in order. Errors are results."""
    with anyio.fail_after(20):
        return list(await asyncio.gather(*works, return_exceptions=True))
