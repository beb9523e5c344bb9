"""What people do in a simulated world: drawn from the seed before anything runs, so that faults do not change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ruche.actors.logical import Want
from ruche.storage.model.conversation import SessionKey
from tests.simulation.brain import ACT, REPEATABLE
from tests.simulation.hotel import BOOK


@dataclass(slots=True)
class Utterance:
    """Something that a person wants to say; `idem` lets it be said again without being taken twice."""

    text: str
    want: Want
    idem: str | None = None
    fingerprint: str = "f"
    new_session: bool = False
    in_session: bool = False
    """Name the session that is thought to be open."""
    patience: float | None = None
    """After so many seconds the caller gives up."""
    timeout: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Step:
    """One thing that a client does: `say` (all utterances at once), `close`, `look`, `typing`, `poison` or `wait`."""

    kind: str
    said: list[Utterance] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class Person:
    """One client: what it does, in order, at one session's address."""

    number: int
    key: SessionKey
    steps: list[Step]


@dataclass(slots=True)
class Fault:
    """Something that goes wrong at a time of a process's life, for a while."""

    at: float
    kind: str
    seconds: float


@dataclass(slots=True)
class Plan:
    people: list[Person]
    lives: list[Life]


@dataclass(slots=True)
class Life:
    """How one process is configured, what happens to it, and how it ends before its people have finished."""

    faults: list[Fault]
    wild: float = 0.0
    contrary: float = 0.0
    """How often deciders decide at random, and rarely raise."""
    ends_at: float | None = None
    killed_at: float | None = None
    killed_at_write: tuple[int, str] | None = None
    full_at_write: tuple[int, float, int] | None = None
    """From which write on the disk is full, for how many seconds, and how many writes the reserve is good for."""
    blind_s: float = 0.0
    """So long after its start, reads fail now and then."""
    max_active: int = 20_000
    idle_after: float = 60.0
    overshoot: float = 1.0
    buffer: int = 100
    quarantine: float = 1.0
    waiting_limit: int = 100
    gate: tuple[int, int, int] = (8, 8, 1000)
    turn_seconds: float = 2.0
    commit_seconds: float = 2.0
    grace: float = 5.0
    feed_limit: int = 256
    sweep_every: float = 0.5


# Themes: in some worlds what is rare elsewhere is frequent, so that it meets what else is rare.


def plan_of(seed: int) -> Plan:
    draw = Random(f"{seed} plan")
    theme = draw.choice(("", "", "", "full", "supersede"))
    keys = _keys(draw) if theme != "supersede" else [SessionKey(tenant="acme", agent="desk", interlocutor="kim",
                                                                channel=draw.choice(("web", "chat")))]
    requests: list[Utterance] = []
    people = [Person(number, draw.choice(keys), list(_steps(draw, number, requests, theme)))
              for number in range(draw.choice((2, 3, 4)))]
    return Plan(people, [_life(draw, theme) for _ in range(draw.choice((1, 1, 2, 3)))])


def _keys(draw: Random) -> list[SessionKey]:
    """Few addresses, so that people meet; often they belong to one person."""
    tenants, names = (("acme",), ("kim",)) if draw.random() < 0.5 else (("acme", "bolt"), ("kim", "lee"))
    return [SessionKey(tenant=draw.choice(tenants), agent="desk", interlocutor=draw.choice(names),
                       channel=draw.choice(("api", "web", "chat"))) for _ in range(draw.choice((1, 1, 2, 3)))]


def _steps(draw: Random, number: int, requests: list[Utterance], theme: str) -> Iterator[Step]:
    closes = 6 if theme == "full" else 2
    for place in range(draw.randrange(3, 8)):
        kind = draw.choices(("say", "close", "look", "typing", "poison", "wait"), (20, closes, 1, 1, 1, 3))[0]
        step = Step(kind, seconds=draw.choice((0.0, 0.001, 0.03, 0.5)) * draw.random())
        if kind == "say":
            count = draw.choice((1, 1, 2, 3))
            step.said = [_utterance(draw, f"{number}.{place}.{one}", requests, theme) for one in range(count)]
        yield step


def _utterance(draw: Random, name: str, requests: list[Utterance], theme: str) -> Utterance:
    if requests and draw.random() < 0.15:
        earlier = draw.choice(requests)
        return Utterance(earlier.text, draw.choice(("reply", "accepted", "events")), earlier.idem,
                         fingerprint=draw.choices(("f", "g"), (9, 1))[0])
    text = name + draw.choices(("", f" {ACT}", f" {BOOK}", f" {REPEATABLE}", " ..."), (3, 3, 2, 1, 1))[0]
    made = Utterance(text, draw.choices(("reply", "accepted", "events"), (6, 2, 2))[0],
                     new_session=draw.random() < (0.25 if theme == "full" else 0.06), in_session=draw.random() < 0.1)
    if draw.random() < 0.4:
        made.idem = f"i{name}"
        requests.append(made)
    if draw.random() < 0.2:
        made.patience = draw.choice((0.0, 0.001, 0.05)) * draw.random()
    if draw.random() < 0.1:
        made.timeout = draw.choice((0.001, 0.1, 1.0)) * draw.random()
    if draw.random() < (0.12 if theme == "supersede" else 0.03):
        made.metadata = {"unkeepable": object()}
    return made


def _life(draw: Random, theme: str) -> Life:
    life = Life(faults=[_fault(draw) for _ in range(draw.choice((0, 0, 1, 2, 4)))])
    life.wild = draw.choice((0.0, 0.1, 0.4))
    life.contrary = draw.choice((0.0, 0.7, 1.0)) if theme != "supersede" else 1.0
    end = draw.choices(("", "ends", "killed", "written"), (2, 2, 1, 4))[0]
    if end == "ends":
        life.ends_at = draw.choice((0.01, 0.2, 2.0)) * draw.random()
    elif end == "killed":
        life.killed_at = draw.choice((0.01, 0.2, 2.0)) * draw.random()
    elif end == "written":
        life.killed_at_write = (draw.randrange(1, 16), draw.choice(("before", "during", "after")))
    if draw.random() < (1.0 if theme == "full" else 0.1):
        seconds = draw.choice((0.01, 0.2, 2.0)) * draw.random()
        life.full_at_write = draw.randrange(1, 12), seconds, draw.choice((0, 3, 3))
    if draw.random() < 0.15:
        life.blind_s = draw.choice((0.01, 0.2))
    life.max_active = draw.choice((1, 2, 20_000, 20_000))
    life.overshoot = draw.choice((0.0, 1.0, 4.0))
    life.idle_after = draw.choice((0.0, 0.05, 60.0))
    life.buffer = draw.choice((1, 100, 100))
    life.quarantine = draw.choice((0.2, 5.0))
    life.waiting_limit = draw.choice((2, 100, 100))
    life.gate = draw.choice(((1, 1, 1), (1, 1, 1000), (2, 1, 1000), (8, 8, 1000)))
    life.turn_seconds = draw.choice((0.3, 2.0))
    life.commit_seconds = draw.choice((0.05, 2.0))
    life.grace = draw.choice((0.1, 5.0, 5.0))
    life.feed_limit = draw.choice((3, 256, 256))
    life.sweep_every = draw.choice((0.02, 0.5))
    return life


def _fault(draw: Random) -> Fault:
    kind = draw.choices(("full", "full with reserve", "broken", "stall", "reads fail", "clock", "sweep", "crash"),
                        (4, 2, 1, 2, 1, 2, 3, 2))[0]
    return Fault(draw.choice((0.01, 0.2, 1.0)) * draw.random(), kind, draw.choice((0.01, 0.2, 3.0)) * draw.random())
