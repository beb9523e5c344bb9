"""A brain that does, by the seed, what brains do: think, speak in pieces, act, fail, hang, ignore cancellation."""

from __future__ import annotations

import asyncio
import math

from msgspec.structs import replace

from ruche.plugins.contracts import AbsorbingStage, Effect, EffectOutcome, Stage, TurnInput, TurnOutput
from ruche.plugins.errors import ProviderFailed
from ruche.plugins.tape import Tape
from ruche.storage.model.conversation import Exchange, FieldValue, Profile
from ruche.storage.model.run import Run, RunHashes, chain_link, digest
from ruche.storage.model.turn import Enforcement
from tests.simulation.disk import short
from tests.simulation.hotel import Hotel
from tests.simulation.world import World

ENGINE = "simulation 1"
ACT, REPEATABLE = "pay", "look"
"""Words in a message that make the brain act: once and never again, or as often as it likes."""

PROMPT_S = 0.05
"""Virtual seconds within which a cancelled brain must be woken."""
_HASHES = RunHashes(configuration="", input="", state_before="", state_after="", evaluation="", output="")
_CALM = ("sleep", "yield", "release", "pending", "progress")
_WILD = ("raise", "refuse", "cancelled", "stranger", "hang", "deaf", "deaf", "nonsense", "stale")


class InjectedFault(Exception):
    """Raised by the simulation where plugins and disks may raise anything."""


class Effects:
    """The outside world: what was really done, whatever became of the process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.done: dict[str, int] = {}

    def perform(self, what: str) -> None:
        if self._world.dead:
            return
        self._world.note("EFFECT", what)
        self.done[what] = self.done.get(what, 0) + 1
        if self.done[what] > 1:
            self._world.violated(f"effect {what} happened {self.done[what]} times")


class SimulatedBrain:
    def __init__(self, world: World, effects: Effects, hotel: Hotel, *, wild: float) -> None:
        self._world = world
        self._effects = effects
        self._hotel = hotel
        self._mind = world.stream(f"mind {world.life}")
        self._wild = wild
        self._thinking: dict[str, str] = {}

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        key, world = str(turn.session.key), self._world
        if key in self._thinking:
            world.violated(f"two turns of {key} at once: {self._thinking[key]} and {turn.turn_id}")
        self._thinking[key] = turn.turn_id
        world.superseded.pop(turn.turn_id, None)
        self._hotel.begin(turn.turn_id)
        world.note("think", short(turn.turn_id), *(message.text for message in turn.messages))
        try:
            return await self._think(turn, stage)
        finally:
            self._thinking.pop(key, None)
            world.note("thought", short(turn.turn_id))

    async def _think(self, turn: TurnInput, stage: Stage) -> TurnOutput:
        mind, said = self._mind, list[str]()
        if mind.random() < 0.15:
            await self._do("release", turn, stage, said)
        await self._act(turn, stage)
        await self._hotel.visit(turn, stage)
        for _ in range(mind.choice((0, 1, 1, 2, 4))):
            action = mind.choice(_WILD if mind.random() < self._wild else _CALM)
            output = await self._do(action, turn, stage, said)
            if output is not None:
                return output
        if isinstance(stage, AbsorbingStage) and mind.random() < 0.5:
            turn = replace(turn, messages=(*turn.messages, *stage.absorb()))
        return self._output(turn, "".join(said) or "re " + "|".join(message.text for message in turn.messages))

    async def _do(self, action: str, turn: TurnInput, stage: Stage, said: list[str]) -> TurnOutput | None:
        mind = self._mind
        match action:
            case "sleep":
                await self._rest(turn, mind.choice((0.001, 0.05, 0.4)) * mind.random())
            case "yield":
                await asyncio.sleep(0)
            case "release":
                piece = f"<{len(said)}>"
                await stage.release(piece)
                said.append(piece)
            case "pending":
                stage.pending()
            case "progress":
                stage.progress("phase", 1.0)
            case "raise":
                raise InjectedFault
            case "refuse":
                raise ProviderFailed("the model is away")
            case "cancelled":
                raise asyncio.CancelledError
            case "stranger":
                stranger = asyncio.get_running_loop().create_future()
                stranger.cancel()
                await stranger
            case "hang":
                await self._rest(turn, 1e9)
            case "deaf":
                await self._ignore(mind.randrange(1, 4))
                return await self._do(mind.choice(_CALM), turn, stage, said)
            case "nonsense":
                return mind.choice(("", 0, turn))  # type: ignore[return-value]
            case "stale":
                return self._output(replace(turn, session=replace(turn.session, turn_count=7)), "stale")
        return None

    async def _rest(self, turn: TurnInput, seconds: float) -> None:
        begun = self._world.now
        try:
            await asyncio.sleep(seconds)
        finally:
            since = self._world.superseded.get(turn.turn_id, math.inf)
            if self._world.now > max(begun, since) + PROMPT_S:
                self._world.violated(f"turn {short(turn.turn_id)} was left thinking after it was superseded")

    async def _ignore(self, cancellations: int) -> None:
        """Go on as if nothing had happened, so many times."""
        for _ in range(cancellations):
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                if self._world.dead:
                    raise

    async def _act(self, turn: TurnInput, stage: Stage) -> None:
        """Do what the first message that asks for something asks for, under the key that the contract gives it."""
        for word, policy in ((ACT, "IRREVERSIBLE"), (REPEATABLE, "IDEMPOTENT")):
            asked = next((message for message in turn.messages if word in message.text), None)
            if asked is None:
                continue
            effect = Effect(tool=word, key=f"{turn.turn_group}:{word}", policy=policy)  # type: ignore[arg-type]
            outcome = await stage.reserve(effect)
            if outcome.status != "new":
                continue
            if word == ACT:
                self._effects.perform(f"{word} for {asked.text} of {turn.tenant}:{turn.session.key.interlocutor}")
            await asyncio.sleep(self._mind.choice((0.0, 0.01, 0.3)) * self._mind.random())
            if self._mind.random() < 0.9:
                await stage.settle(effect, EffectOutcome(status="ok"))

    def _output(self, turn: TurnInput, reply: str) -> TurnOutput:
        before, now = turn.session, self._world.wall_ms()
        key, said = before.key, tuple(message.text for message in turn.messages)
        after = replace(before, turn_count=before.turn_count + 1, last_activity_ms=now,
                        history=(*before.history, Exchange(turn_id=turn.turn_id, said=said, reply=reply))[-10:])
        run = Run(id=turn.turn_id, sequence=before.turn_count, previous=chain_link(before, ENGINE), tenant=key.tenant,
                  agent=key.agent, agent_version=1, session=before.id, interlocutor=key.interlocutor,
                  channel=key.channel, request_id="", created_ms=now, engine=ENGINE, outcome="OK", status="complete",
                  response_type="ANSWER", risk="GREEN", language="en",
                  message_ids=tuple(message.id for message in turn.messages), said=said, reply=reply,
                  enforcement=Enforcement(risk="GREEN"), hashes=_HASHES)
        return TurnOutput(session=replace(after, previous_run=digest(run)), run=run,
                          profile=self._learn(turn) if self._mind.random() < 0.4 else None)

    def _learn(self, turn: TurnInput) -> Profile:
        """Remember the turn in the profile, under its own name: nothing that is learned may get lost."""
        learned = FieldValue(value=turn.turn_id, source="system_inferred", at_ms=0)
        return replace(turn.profile, fields={**turn.profile.fields, turn.turn_id: learned})
