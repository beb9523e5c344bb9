"""Several batches of one request at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ruche.plugins.rerankers import CrossEncoder
from ruche.plugins.rerankers.lanes import Lanes


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_batch_is_run_once_whatever_the_number_of_lanes(count: int) -> None:
    done: list[int] = []
    lanes = Lanes(count)
    for batches in (0, 1, 2, 30):
        lanes.each(done.append, range(batches))
        assert sorted(done) == list(range(batches))
        done.clear()


def test_a_lane_takes_the_next_batch_while_another_is_in_hand() -> None:
    """Each of two batches waits until the other has begun: in one lane neither would end."""
    meeting = threading.Barrier(2, timeout=60)
    Lanes(2).each(lambda _: meeting.wait(), (1, 2))
    assert not meeting.broken


def test_one_lane_runs_in_the_callers_thread_and_in_order() -> None:
    seen: list[tuple[int, int]] = []
    Lanes(1).each(lambda batch: seen.append((batch, threading.get_ident())), range(4))
    assert seen == [(batch, threading.get_ident()) for batch in range(4)]


@pytest.mark.parametrize("bad", [0, 1])
def test_the_failure_of_one_batch_is_raised_and_nothing_runs_any_more(bad: int) -> None:
    meeting = threading.Barrier(2, timeout=60)
    ended: list[int] = []

    def work(batch: int) -> None:
        if batch < 2:
            meeting.wait()
        if batch == bad:
            raise ValueError("spoilt")
        ended.append(batch)

    lanes = Lanes(2)
    with pytest.raises(ValueError, match="spoilt"):
        lanes.each(work, (0, 1))
    assert ended == [1 - bad]
    lanes.each(ended.append, (5, 6))
    assert sorted(ended) == [1 - bad, 5, 6]


def test_lanes_change_no_score(cross_folder: Path) -> None:
    passages = [f"passage {'word ' * (number * 7 % 40)}" for number in range(24)]
    one, three = (CrossEncoder(cross_folder, device="cpu", threads=threads) for threads in (1, 3))
    for query in ("where is my parcel", "refund"):
        assert three.score(query, passages) == one.score(query, passages)
