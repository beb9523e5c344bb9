"""A real process that is really killed loses nothing that it acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.conftest import Opener
from tests.storage.contents import everything, filled

_WRITER = """
import sys, threading
from pathlib import Path
from ruche.storage.datafiles import Limits
from ruche.storage.model.record import SessionSaved
from ruche.storage.store import Store
from tests.storage.records import Conversation, StaticKey, accepted, session_key
store = Store.open(Path(sys.argv[1]), StaticKey(), reserve_bytes=0,
                   limits=Limits(checkpoint_bytes=30_000, snapshot_bytes=90_000, segment_bytes=20_000))
view, talks = store.tenant("acme"), []
for number in range(5):
    talk = Conversation(f"s{number}", session_key(person=f"person{number}"))
    talk.state = view.session_by_id(talk.state.id) or talk.state
    talks.append(talk)
def feed():
    while True:
        store.apply()
threading.Thread(target=feed, daemon=True).start()
print("ready", flush=True)
while True:
    for talk in talks:
        message = f"{talk.state.id}-m{talk.state.turn_count}"
        store.append([accepted(message, key=talk.key, session=talk.state.id)])
        print("accepted", message, flush=True)
        record = talk.turn("said " * 20, "reply " * 50, answered=(message,))
        store.append([record])
        print("turn", record.run.id, flush=True)
"""


def killed_writer(directory: Path, lines: int) -> list[str]:
    """Let a writer go on for so many lines, kill it, and give every line that it got out."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(directory)], stdout=subprocess.PIPE, text=True,
                              cwd=Path(__file__).parents[2])
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(lines)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    writer.stdout.close()
    return [line.strip() for line in said if line.endswith("\n")]  # print writes a line in pieces


def prove(open_store: Opener, directory: Path, said: list[str]) -> None:
    """Every acknowledged message and turn is there once, every chain is whole."""
    store = open_store(directory)
    view = store.tenant("acme")
    runs = view.runs(limit=100_000).items
    ids = [run.id for run in runs]
    assert len(ids) == len(set(ids))
    known = {message for run in runs for message in run.message_ids}
    known |= {one.message.id for one in store.unanswered()}
    for line in said:
        kind, _, name = line.partition(" ")
        assert kind == "ready" or (kind == "turn" and name in set(ids)) or (kind == "accepted" and name in known), line
    for number in range(5):
        proved, state = view.verify_session(f"s{number}"), view.session_by_id(f"s{number}")
        assert proved.ok, proved.problems
        assert proved.runs == (state.turn_count if state else 0)
    store.close()


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(open_store: Opener, tmp_path: Path,
                                                                 kills: int) -> None:
    said: list[str] = []
    choice = random.Random(7)
    for _ in range(kills):
        said += killed_writer(tmp_path / "data", choice.randrange(1, 400))
        prove(open_store, tmp_path / "data", said)
    assert sum(line.startswith("turn") for line in said) > 50 * kills


def test_a_store_reads_the_same_after_its_tables_are_lost_as_before(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    filled(store)
    before = everything(store.tenant("acme"))
    store.close()
    (tmp_path / "data" / "tables.duckdb").unlink()
    assert everything(open_store().tenant("acme")) == before
