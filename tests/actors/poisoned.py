"""A server that dies of some messages: `python -m tests.actors.poisoned DATA AGENTS DEATH SESSION...`.

Without a SESSION its brain never answers, so that messages are accepted and left; with some it tells its address once
the last message of each is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ruche.engine import Engine
from ruche.engine.config import Settings, read_settings
from ruche.engine.server.mint import mint
from ruche.engine.server.running import serving
from ruche.plugins.contracts import Draft, Stage, TurnInput, TurnOutput, Verdict
from ruche.plugins.tape import Tape
from ruche.storage.model.rule import Rule

POISON, BEHIND = "poison", "What comes behind it"
RULE = "- {id: deadly, if: anything is said, then: Be brief., hard: true, enforce: {use: deadly}}\n"


class Deadly:
    """An enforcer whose native code takes the process with it."""

    name, monotone = "deadly", False

    def __init__(self, death: str) -> None:
        self._death = death

    def prepare(self, rule: Rule) -> None:
        return None

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Verdict:
        if POISON in draft.question and self._death == "exit":
            os._exit(9)
        if POISON in draft.question:
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict(outcome="pass")


class Busy:
    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput:
        await asyncio.Event().wait()
        raise RuntimeError


def settings_of(data: Path, agents: Path) -> Settings:
    return read_settings(data=data, agents=agents, environment={}, models={"embedder": "hashing"}, server={"port": 0})


async def main(data: Path, agents: Path, death: str, *sessions: str) -> None:
    settings = settings_of(data, agents)
    async with Engine.open(settings=settings, brain=None if sessions else Busy(),
                           enforcers={"deadly": Deadly(death)}) as engine, serving(engine, settings) as ready:
        for session in sessions:
            await answered(engine, session)
        tokens = {name: mint(engine.token_key, tenant="default", roles=(role,), subject=name)
                  for name, role in (("kim", "interlocutor"), ("lee", "interlocutor"), ("otto", "admin"))}
        print(json.dumps({"url": ready.url, "tokens": tokens}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def answered(engine: Engine, session: str) -> None:
    async for event in engine.events("default", session):
        if event.kind == "turn.completed" and (await engine.run("default", event.turn_id)).said == (BEHIND,):
            return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
