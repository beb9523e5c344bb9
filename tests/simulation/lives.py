"""One seed: processes come, serve, fail and die on one disk, until the last one has answered everything."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ruche.actors.arrears import Arrears
from ruche.actors.clock import Clock
from ruche.actors.courier import Courier
from ruche.actors.dead_letters import keeper
from ruche.actors.directory import Directory, Policy
from ruche.actors.fair import FairGate
from ruche.actors.feed import Feeds
from ruche.actors.hosting import REFUSAL, Hosting
from ruche.actors.recovery import recover
from ruche.actors.scribe import Done, Scribe
from ruche.actors.session import SessionActor
from ruche.actors.system import ActorSystem
from ruche.actors.undoing import KIND as COMPENSATION
from ruche.storage.model.conversation import SessionKey
from ruche.storage.model.record import AnyRecord
from tests.simulation.brain import Effects, InjectedFault, SimulatedBrain
from tests.simulation.clients import PATIENCE_S, Client, Evidence, Follower, Server
from tests.simulation.contrary import Bases, Contrary
from tests.simulation.disk import Disk, SimulatedStore
from tests.simulation.hotel import Hotel
from tests.simulation.laws import check, stopped_in_peace
from tests.simulation.plan import Fault, Life, plan_of
from tests.simulation.preempt import interruptible
from tests.simulation.schedule import SimulatedLoop, SimulatedThreads
from tests.simulation.world import World

COMMIT_S = 1.0
"""Virtual seconds that a commit takes at most."""
OUTBOX_MS = 86_400_000 * 40
"""More than a clock jumps and a delivery is put off."""
LAST = Life(faults=[])
INJECTED = frozenset({"InjectedFault", "OSError"})
"""What an actor may crash of: faults, and reads that fail."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a seed. `schedule` is the log, for people; `fingerprint` is equal for equal histories."""

    seed: int
    violations: tuple[str, ...]
    fingerprint: str
    schedule: Callable[[], str]


def simulate(seed: int) -> Report:
    """Run one seed's world from its beginning to its end."""
    return Simulation(seed).run()


class Coroner(logging.Handler):
    """Nothing crashes but of a fault that was injected; else the worlds would soon be empty and every law hold."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world
        self.lives = set[int]()
        """Those of the processes in which anything crashed."""

    def emit(self, record: logging.LogRecord) -> None:
        self.lives.add(self._world.life)
        if isinstance(record.args, tuple) and len(record.args) == 3 and record.args[1] not in INJECTED:
            self._world.violated("{} crashed of {}{}".format(*record.args))


class Simulation:
    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.disk = Disk(self.world)
        self.effects, self.hotel = Effects(self.world), Hotel(self.world)
        self.evidence = Evidence(self.world, self.disk)
        self.plan = plan_of(seed)
        self.clients = [Client(person, self.evidence) for person in self.plan.people]
        self.followers = [Follower(number, self.evidence) for number in range(2)]
        self.coroner = Coroner(self.world)

    def run(self) -> Report:
        world, crashes, coroner = self.world, logging.getLogger("ruche.actors.exits"), self.coroner
        crashes.addHandler(coroner)
        try:
            for life in self.plan.lives:
                self._process(life, last=False)
            self._process(LAST, last=True)
        finally:
            crashes.removeHandler(coroner)
        if not world.violations:
            check(world, self.disk, self.evidence, self.hotel)
        return Report(world.seed, tuple(world.violations), world.fingerprint(), world.told)

    # --- a process -----------------------------------------------------------------------------------------------

    def _process(self, life: Life, *, last: bool) -> None:
        world, disk = self.world, self.disk
        if world.violations:
            return
        world.life, world.dying, world.stopped = world.life + 1, False, False
        disk.restart()
        disk.kill = None
        if life.full_at_write is not None:
            disk.fills_up(*life.full_at_write)
        if life.killed_at_write is not None:
            disk.kill = (disk.writes + life.killed_at_write[0], life.killed_at_write[1])
        threads = SimulatedThreads(world)
        loop = SimulatedLoop(world, threads)
        with threads.installed(), interruptible(world, threads):
            try:
                loop.run_until_complete(self._main(life, last, threads))
            except RuntimeError as error:
                if not world.dying and not world.violations:
                    world.violated(f"the process failed: {error!r}")
            except Exception as error:
                world.violated(f"the process failed: {error!r}")
            finally:
                with world.afterlife():
                    threads.end()
                    loop.bury()

    async def _main(self, life: Life, last: bool, threads: SimulatedThreads) -> None:
        world, loop = self.world, asyncio.get_running_loop()
        store = SimulatedStore(world, self.disk, threads)
        before = store.unanswered()
        world.note("START", "unanswered:", *(accepted.message.text for accepted in before))
        async with ActorSystem(clock=loop.time, threads=threads, grace=life.grace) as system:
            server = self._server(life, store)
            if life.blind_s:
                store.read_fails = True
                loop.call_later(life.blind_s, store.see)
            await recover(server.directory, server.hosting, store.unanswered())
            outside = [loop.create_task(client.run(server)) for client in self.clients]
            watching = [loop.create_task(follower.run(server)) for follower in self.followers]
            for fault in life.faults:
                watching.append(loop.create_task(self._strike(fault, server, store)))
            if life.killed_at is not None:
                loop.call_later(life.killed_at, self._kill)
            limit = (PATIENCE_S * 20) if life.ends_at is None else life.ends_at
            await asyncio.wait(outside, timeout=limit)
            if last:
                await self._settle(server, store, watching)
            server.closing = True
            world.note("STOP")
            stopping = world.now
        cut = world.now >= stopping + life.grace
        await self._afterwards(outside, watching, server, system, cut=cut)
        if not cut and not life.faults and not life.full_at_write and world.life not in self.coroner.lives:
            for broken in stopped_in_peace(before, store.unanswered()):
                world.violated(broken)

    def _server(self, life: Life, store: SimulatedStore) -> Server:
        world, scribe = self.world, Scribe(store)  # type: ignore[arg-type]
        self._timed(scribe)
        total, per_tenant, waiting = life.gate
        self._decider = Contrary(world, life.contrary)
        hosting = Hosting(
            brain=SimulatedBrain(world, self.effects, self.hotel, wild=life.wild), scribe=scribe,
            gate=FairGate(total, per_tenant, waiting=waiting), feeds=Feeds(life.feed_limit), engine="simulation 1",
            turn_seconds=life.turn_seconds, commit_seconds=life.commit_seconds, waiting_limit=life.waiting_limit,
            decider=self._decider, channel_bases=Bases(self._crashes),
            refusal=self._refusal, clock_ms=world.wall_ms, entropy=world.ids.randbytes)
        policy = Policy(max_active=life.max_active, overshoot=life.overshoot, idle_after=life.idle_after,
                        buffer=life.buffer, quarantine=life.quarantine)
        directory = Directory(SessionActor, hosting, policy=policy, chance=world.fate.random,
                              on_dead_letter=keeper(hosting))
        ActorSystem.running().before_exit(_called(hosting.feeds.close))
        clock = Clock(directory, scribe, sweep_every=life.sweep_every, apply_every=5.0)
        clock.every(0.1, "arrears", Arrears(directory, hosting).collect)
        courier = Courier(scribe, {COMPENSATION: self.hotel.route(scribe).deliver}, clock_ms=world.wall_ms)
        hosting.due = courier.expect
        clock.every(0.25, "courier", courier.deliver_due)
        self._crashing = 0.0
        return Server(directory, hosting, scribe)

    def _timed(self, scribe: Scribe) -> None:
        """Have every commit watched: on a disk that does not stall none takes long."""
        world, post = self.world, scribe.post

        def watched(records: tuple[AnyRecord, ...], done: Done) -> None:
            posted = world.now

            def told(error: BaseException | None) -> None:
                if world.now > posted + COMMIT_S and not self.disk.stalled:
                    world.violated(f"a commit took {world.now - posted:.1f} s for nothing")
                done(error)

            post(records, told)

        scribe.post = watched  # type: ignore[method-assign]

    def _refusal(self, key: SessionKey) -> str:
        if self.world.fate.random() < self._crashing:
            self.world.note("crash", key)
            raise InjectedFault
        return REFUSAL

    def _crashes(self) -> bool:
        torn, self._decider.torn = self._decider.torn, False
        return torn or (self._crashing > 0 and self.world.fate.random() < 0.1)

    def _kill(self) -> None:
        self.world.note("DIES")
        self.world.dying = True

    async def _settle(self, server: Server, store: SimulatedStore, watching: list[asyncio.Task[None]]) -> None:
        """The last process has time: it owes nothing in the end, and followers hear the rest."""
        server.settling = True
        await asyncio.wait(watching)
        await asyncio.sleep(1.0)  # what somebody said who did not wait for the answer arrives too
        for _ in range(200):
            if not store.unanswered():
                break
            await asyncio.sleep(0.25)
        for _ in range(60):
            if not store.outbox():
                break
            self.world.wall_offset_ms += OUTBOX_MS  # what is to be tried again later is due
            await asyncio.sleep(0.5)
        for follower in self.followers:
            await follower.catch_up(server)

    async def _afterwards(self, outside: list[asyncio.Task[None]], watching: list[asyncio.Task[None]],
                          server: Server, system: ActorSystem, *, cut: bool) -> None:
        """The system has stopped: everybody has an answer, and nothing is left of anything unless it was cut off."""
        world = self.world
        if outside:
            _, waiting = await asyncio.wait(outside, timeout=PATIENCE_S)
            if waiting:
                world.violated(f"{len(waiting)} clients wait for a process that has stopped")
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for task in [*outside, *watching]:
            if task.done() and not task.cancelled() and task.exception() is not None:
                world.violated(f"a client ended of {task.exception()!r}")
        gate, feeds = server.hosting.gate, server.hosting.feeds
        if cut:
            return
        if gate.busy or gate.snapshot() != {"running": {}, "waiting": {}}:
            world.violated(f"slots of the gate are lost: {gate.busy} busy, {gate.snapshot()}")
        if len(feeds) and gc.collect() and len(feeds):
            world.violated(f"{len(feeds)} listeners are left behind")
        if system._tasks or system._living or len(server.directory):
            world.violated("actors or tasks are left behind")

    # --- what goes wrong -----------------------------------------------------------------------------------------

    async def _strike(self, fault: Fault, server: Server, store: SimulatedStore) -> None:
        world, disk = self.world, self.disk
        await asyncio.sleep(fault.at)
        world.note("FAULT", fault.kind, f"for {fault.seconds:.3f} s")
        match fault.kind:
            case "full" | "full with reserve":
                disk.full, disk.reserve = True, 2 if fault.kind != "full" else 0
            case "broken":
                disk.broken = True
            case "stall":
                disk.stall_s, disk.stalled = fault.seconds, True
            case "reads fail":
                store.read_fails = True
            case "clock":
                world.wall_offset_ms += world.fate.choice((-3_600_000, 3_600_000, 86_400_000 * 30, -5))
            case "sweep":
                server.directory.sweep()
            case "crash":
                self._crashing = 0.7
        await asyncio.sleep(fault.seconds)
        disk.full, disk.stall_s, store.read_fails, self._crashing = False, 0.0, False, 0.0


def _called(function: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def action() -> object:
        return function()

    return action
