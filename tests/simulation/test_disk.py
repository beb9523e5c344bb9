"""The simulated store answers as the real one, so that what holds in the simulation holds on a real disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ruche.storage.model.record import Accepted, AnyRecord, EffectReserved, EffectSettled, TurnCommitted
from ruche.storage.store import Store
from tests.actors.rig import RootKey
from tests.simulation.disk import SimulatedStore, events_of
from tests.simulation.lives import Simulation
from tests.simulation.schedule import SimulatedThreads

_decode = msgspec.msgpack.Decoder(AnyRecord).decode


@pytest.mark.parametrize("seed", range(6))
def test_the_same_journal_gives_the_same_answers(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed)
    assert not simulation.run().violations
    batches = [[_decode(frame) for frame in batch] for batch in simulation.disk.batches]
    simulated = SimulatedStore(simulation.world, simulation.disk, SimulatedThreads(simulation.world))
    with Store.open(tmp_path / "data", RootKey(), reserve_bytes=0) as store:
        for batch in batches[: len(batches) // 2]:
            store.append(batch)
        store.apply()
        for batch in batches[len(batches) // 2:]:
            store.append(batch)
        assert list(answers(simulated, batches)) == list(answers(store, batches))
    with Store.open(tmp_path / "data", RootKey(), reserve_bytes=0) as store:
        assert list(answers(simulated, batches)) == list(answers(store, batches))


@pytest.mark.parametrize("seed", range(6, 9))
def test_a_restart_in_the_middle_finds_the_same(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed)
    simulation.run()
    disk = simulation.disk
    del disk.batches[len(disk.batches) // 2:]
    batches = [[_decode(frame) for frame in batch] for batch in disk.batches]
    simulated = SimulatedStore(simulation.world, disk, SimulatedThreads(simulation.world))
    with Store.open(tmp_path / "data", RootKey(), reserve_bytes=0) as store:
        for batch in batches:
            store.append(batch)
        assert store.unanswered() == simulated.unanswered()
    with Store.open(tmp_path / "data", RootKey(), reserve_bytes=0) as store:
        assert store.unanswered() == simulated.unanswered()
        assert list(answers(simulated, batches)) == list(answers(store, batches))


def answers(store: Any, batches: list[list[AnyRecord]]) -> Iterator[Any]:
    """Everything that sessions and recovery ask a store, about everything that was written."""
    for record in (record for batch in batches for record in batch):
        tenant = store.tenant(record.tenant)
        match record:
            case Accepted():
                yield tenant.session(record.key)
                yield tenant.session_by_id(record.session_id)
                yield tenant.profile(record.key.interlocutor)
                if record.message.idempotency_key is not None:
                    yield tuple(tenant.idempotent(record.key.interlocutor, record.message.idempotency_key))
            case TurnCommitted():
                yield tenant.run(record.run.id)
                yield tenant.segments(record.run.id)
            case EffectReserved() | EffectSettled():
                yield tenant.effect(record.key)
        for event in events_of(record):
            yield tenant.segments(event.turn_id)
            yield tenant.events(event.session_id, event.seq - 1, 3)


def test_the_worlds_that_are_compared_hold_what_the_stores_are_asked_for() -> None:
    kinds = {type(record) for seed in range(9) for record in _journal(seed)}
    assert {Accepted, TurnCommitted, EffectReserved, EffectSettled} < kinds


def _journal(seed: int) -> list[AnyRecord]:
    simulation = Simulation(seed)
    simulation.run()
    return simulation.disk.records()
