"""The way from the loop to the store: one thread commits in groups, another reads and feeds the tables.

Commits never wait for DuckDB. A record is durable when its commit returns, in the order in which they were asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ruche.actors.exits import HandlerCancelled
from ruche.actors.ledger import settle
from ruche.actors.service import ServiceActor
from ruche.actors.supervise import Policy
from ruche.actors.supervised import PATIENT, SupervisedService
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import RucheError, StorageFull, StorageStopped, Unavailable
from ruche.storage.model.record import AnyRecord

if TYPE_CHECKING:
    from ruche.storage.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")
Done = Callable[[BaseException | None], None]
Group = tuple[tuple[AnyRecord, ...], Done]

LONGEST_WAIT_S = 0.004
FIRST_WAIT_S = 0.0005
ENOUGH = 64
"""Groups that are committed at once however long the wait had been."""


class Scribe:
    """Made on the loop inside an actor system, which stops its two threads at the end, after what spoke to them."""

    def __init__(self, store: Store, policy: Policy = PATIENT) -> None:
        self._store = store
        self._system = ActorSystem.running()
        self._waiting: deque[Group] = deque()
        self._rung = False
        self._enough = self._system.threads.flag()
        self._stopped: StorageStopped | None = None
        self.writer = SupervisedService(Writer, store, self, policy=policy, on_rest=self._refuse_all)
        self.reader = SupervisedService(Reader, store, policy=policy)
        self.refusing = False
        """True while the last append was refused: nothing should be begun that will want to be kept."""
        self.batches = 0
        self.records = 0

    def post(self, records: tuple[AnyRecord, ...], done: Done) -> None:
        """Commit records together, wholly or not at all; `done(None)` or `done(error)` follows on the loop."""
        if self._stopped is not None:
            self._system.loop.call_soon(done, self._stopped)
            return
        self._waiting.append((records, done))
        if not self._rung:
            self._rung = True
            self._ring(done)
        elif len(self._waiting) >= ENOUGH:
            self._enough.set()

    async def commit(self, *records: AnyRecord) -> None:
        """Durable when it returns, all or none. Raises StorageFull, StorageStopped. Giving up the wait takes nothing
        back."""
        written: asyncio.Future[None] = self._system.loop.create_future()
        self.post(records, lambda error: settle(written, error))
        await written

    async def read(self, function: Callable[[Store], T]) -> T:
        """`function(store)` on the read thread; sees every record that is durable. Raises what the function raised."""
        try:
            answer: T = await self.reader.ask(function)
        except HandlerCancelled as error:
            raise Unavailable("reading was interrupted and goes on; try again", retry_after=1.0) from error
        return answer

    def glance(self, function: Callable[[Store], T]) -> T:
        """`function(store)` here and now: for questions that wait for nothing."""
        return function(self._store)

    async def apply(self) -> int:
        """Feed the journalled records to the tables; how many there were."""
        return await self.read(lambda store: store.apply(checkpoints=False))

    @property
    def stopped(self) -> bool:
        """True once a sync failed: nothing is written any more until restart; reads go on."""
        return self._stopped is not None

    def _ring(self, done: Done) -> None:
        try:
            self.writer.tell(_FLUSH)
        except RucheError as error:  # the writer rests after too many crashes, or has stopped with its system
            self._rung = False
            self._waiting.pop()
            self._system.loop.call_soon(done, error)

    def _refuse_all(self, _: str) -> None:
        """The writer rests after too many crashes: nobody waits for it."""
        groups, self._rung = list(self._waiting), False
        self._waiting.clear()
        _tell_all([(done, Unavailable("writing fails again and again; try again later", retry_after=30.0))
                   for _, done in groups])

    # --- on the writer's thread

    def _take(self, groups: list[Group]) -> list[Group]:
        self._rung = False  # before the first is taken: whoever comes later rings again
        self._enough.clear()
        while self._waiting:
            groups.append(self._waiting.popleft())
        return groups

    def _give_back(self, groups: list[Group]) -> None:
        """The writer crashed before it had begun to write them."""
        self._waiting.extendleft(reversed(groups))

    def _report(self, outcomes: list[tuple[Done, BaseException | None]], records: int) -> None:
        self.batches += 1
        self.records += records
        for _, error in outcomes:
            if isinstance(error, StorageStopped):
                self._stopped = error
        self.refusing = isinstance(outcomes[-1][1], Unavailable)
        try:
            self._system.post(_tell_all, outcomes)
        except RuntimeError:
            log.error("the loop ended before %d commits could be answered", len(outcomes))


class Writer(ServiceActor):
    """The thread that appends. It waits for company only when there was company the last time, and no longer than it
    took to write then: that is what company saves."""

    registered: ClassVar[bool] = False

    def __init__(self, store: Store, scribe: Scribe) -> None:
        super().__init__()
        self._store = store
        self._scribe = scribe
        self._wait_s = 0.0
        self._took_s = 0.0
        self._hand: list[Group] = []
        self._writing = False

    def on_start(self) -> None:
        self._flush()  # what a crash has left

    def on_receive(self, message: Any) -> None:
        if self._wait_s:
            self._scribe._enough.wait(min(self._wait_s, self._took_s))
        self._flush()

    def on_stop(self) -> None:
        try:
            self._flush()
        except BaseException:
            self.on_failure()
            raise

    def on_failure(self, *_: object) -> None:
        """What was being written may be on disk or not, in whole or in part: then nothing more is written."""
        groups, self._hand = self._hand, []
        if not self._writing:
            return self._scribe._give_back(groups)
        stopped = StorageStopped("the journal's writer died while it wrote; restart the engine")
        self._scribe._report([(done, stopped) for _, done in groups], 0)

    def _flush(self) -> None:
        groups = self._scribe._take(self._hand)
        if not groups:
            return
        if len(groups) > 1:
            self._wait_s = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, self._wait_s * 2))
        else:
            self._wait_s = self._wait_s / 2 if self._wait_s > FIRST_WAIT_S else 0.0
        self._writing, begun = True, self._scribe._system.clock()
        outcomes = self._append(groups)
        self._took_s = self._scribe._system.clock() - begun
        self._scribe._report(outcomes, sum(len(records) for records, _ in groups))
        self._hand, self._writing = [], False

    def _append(self, groups: list[Group]) -> list[tuple[Done, BaseException | None]]:
        try:
            self._store.append([record for records, _ in groups for record in records])
        except (StorageFull, StorageStopped) as error:
            return [(done, error) for _, done in groups]
        except (TypeError, ValueError, OverflowError, RucheError) as error:
            return self._one_by_one(groups, error)
        except Exception as error:
            log.error("an append failed of %s; writing stops", type(error).__name__)
            stopped = StorageStopped("writing to the journal failed; restart the engine")
            stopped.__cause__ = error
            return [(done, stopped) for _, done in groups]
        return [(done, None) for _, done in groups]

    def _one_by_one(self, groups: list[Group], error: Exception) -> list[tuple[Done, BaseException | None]]:
        """A record that cannot be encoded costs its own group only."""
        if len(groups) == 1:
            return [(groups[0][1], error)]
        return [outcome for group in groups for outcome in self._append([group])]


class Reader(ServiceActor):
    """The thread that reads and applies."""

    registered: ClassVar[bool] = False
    expected: ClassVar[tuple[type[Exception], ...]] = (Exception,)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def on_receive(self, message: Any) -> Any:
        return message(self._store)


_FLUSH = "flush"


def _tell_all(outcomes: list[tuple[Done, BaseException | None]]) -> None:
    for done, error in outcomes:
        done(error)
