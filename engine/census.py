"""What lives in a process and how it fares: for people at `/v1/admin/actors`, for Prometheus as `ruche_actors_*`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ruche.actors.supersede import Decision
from ruche.storage.model.conversation import SessionKey

if TYPE_CHECKING:
    from ruche.engine.host import Host

_EVENTS = {"activated": "Actors brought into memory.", "passivated": "Idle actors let go.",
           "crashed": "Actors ended by an error.", "restarted": "Actors brought back after a crash.",
           "quarantined": "Keys put to rest after too many crashes.",
           "escalated": "Times that too many keys crashed together.", "refused": "Messages refused.",
           "dead_letters": "Messages given up by a directory."}
_SESSIONS = {"turns": "Turns committed.", "commits_failed": "Commits refused by the disk."}


def census(host: Host, tenant: str | None = None) -> dict[str, Any]:
    """Sessions, restarts, the gate's queues, the services, the clock. Looks at every actor.

    With a tenant, nothing that names another: no session's key and no queue.
    """
    sessions, gate = host.sessions.snapshot(), _queues(host)
    if tenant is not None:
        sessions["longest"] = {key: letters for key, letters in sessions["longest"].items()
                               if SessionKey.parse(key).tenant == tenant}
        gate = {state: {name: count for name, count in queues.items() if name == tenant}
                for state, queues in gate.items()}
    return {"sessions": sessions, "stats": dict(host.sessions.stats), "decisions": dict(host.hosting.stats),
            "gate": gate, "deliveries": dict(host.standing.courier.stats),
            "listeners": len(host.hosting.feeds), "clock": host.standing.clock.snapshot(),
            "services": {name: service.snapshot() for name, service in _services(host).items()}}


def render(host: Host) -> bytes:
    """Prometheus text. Looks at counters only, however many actors there are."""
    registry = CollectorRegistry()
    registry.register(_Counts(host))
    return generate_latest(registry)


def _queues(host: Host) -> dict[str, dict[str, int]]:
    return {**host.hosting.gate.snapshot(), **host.admission.snapshot()}


def _services(host: Host) -> dict[str, Any]:
    return {"writer": host.scribe.writer, "reader": host.scribe.reader, "retriever": host.retriever}


class _Counts(Collector):
    def __init__(self, host: Host) -> None:
        self._host = host

    def collect(self) -> Iterator[Metric]:
        host = self._host
        kinds = {"sessions": host.sessions.stats,
                 **{name: service.snapshot() for name, service in _services(host).items()}}
        yield _gauge("live", "Actors in memory.", "kind",
                     {name: len(host.sessions) if name == "sessions" else stats["actors"]
                      for name, stats in kinds.items()})
        for event, what in _EVENTS.items():
            yield _counter(event, what, "kind", {name: stats[event] for name, stats in kinds.items()})
        yield from self._sessions()
        yield _counter("deliveries", "Deliveries and reminders by how they ended.", "outcome",
                       host.standing.courier.stats)
        clock = host.standing.clock.snapshot()
        yield _counter("clock_runs", "Periodic actions begun.", "action",
                       {name: tick["runs"] for name, tick in clock.items()})
        yield _counter("clock_failures", "Periodic actions that failed.", "action",
                       {name: tick["failures"] for name, tick in clock.items()})

    def _sessions(self) -> Iterator[Metric]:
        stats, gate = self._host.hosting.stats, _queues(self._host)
        for name, what in _SESSIONS.items():
            yield _counter(name, what, "kind", {"sessions": stats[name]})
        yield _counter("decisions", "What became of turns that a newer message met.", "decision",
                       {one.value: stats[one.value] for one in Decision})
        yield _counter("dead_letters_kept", "Messages kept as dead letters.", "kind",
                       {"sessions": stats["dead_letters"]})
        yield _gauge("turns", "Turns by what they do.", "state",
                     {state: sum(gate[state].values()) for state in ("running", "waiting")})
        yield _gauge("requests", "Requests that are worked on, and that are not let in yet.", "state",
                     {state: sum(gate[state].values()) for state in ("inside", "outside")})
        yield _gauge("listeners", "Event streams in this process.", "kind",
                     {"sessions": len(self._host.hosting.feeds)})


def _gauge(name: str, what: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"ruche_actors_{name}", what, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _counter(name: str, what: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"ruche_actors_{name}", what, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
