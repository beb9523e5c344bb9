"""Deciders and channels that have a will of their own: they decide at random, and now and then they crash a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ruche.actors.supersede import Decision, Situation, default_decider
from tests.simulation.brain import InjectedFault
from tests.simulation.world import World


class Bases(dict[str, int]):
    """Is looked at while a message is handled: there a session may crash with others behind it in its mailbox."""

    def __init__(self, crashes: Callable[[], bool]) -> None:
        super().__init__(api=0, web=40, chat=0)
        self._crashes = crashes

    def get(self, *arguments: Any) -> Any:
        if self._crashes():
            raise InjectedFault
        return super().get(*arguments)


class Contrary:
    """A decider that often has a will of its own."""

    def __init__(self, world: World, share: float) -> None:
        self._world = world
        self._share = share
        self._draw = world.stream(f"decider {world.life}")
        self.torn = False
        """The session crashes over this message."""

    def __call__(self, situation: Situation) -> Decision:
        decision = default_decider(situation)
        if self._draw.random() < self._share:
            self.torn = self._draw.random() < 0.03
            decision = self._draw.choice([*Decision, Decision.SUPERSEDE, Decision.ABSORB, Decision.CONTINUE])
        if decision in (Decision.SUPERSEDE, Decision.ABSORB) and not situation.commit_reached:
            self._world.superseded[situation.turn_id] = self._world.now
        self._world.note("decided", decision.value, "for", situation.newer.text)
        return decision
