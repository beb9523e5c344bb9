"""A word that is planted in everything that is kept shows in no file, no temporary file, no output and no error."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CANARY = "Quagmire"
_LIFE = """
import logging, os, sys, traceback
from pathlib import Path

logging.basicConfig(level=0, stream=sys.stderr)
elsewhere, data = [], os.path.abspath(sys.argv[1])

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and isinstance(arguments[2], int):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if arguments[2] & (os.O_WRONLY | os.O_RDWR) and not path.startswith((data, "/dev/")):
            elsewhere.append(path)

from ruche.storage.datafiles import Limits
from ruche.storage.evidence import Evidence
from ruche.storage.model.record import EpisodeKept
from ruche.storage.restore import Restore
from ruche.storage.store import Store
from ruche.storage.verifying import verify
from tests.storage.records import NOW_MS, Conversation, StaticKey, accepted, profile, session_key

C = "Quagmire"
sys.addaudithook(watch)
KEY = session_key(tenant=C + "-tenant", person=C + "-person", agent=C + "-agent", channel=C + "-channel")
store, talk = Store.open(Path(data) / "live", StaticKey(), limits=Limits(1, 0.0, 1, 4000)), Conversation("s1", KEY)
for number in range(12):
    store.append([accepted(f"m{number}", key=KEY, text=C, idempotency_key=C + str(number), metadata={C: C}),
                  talk.turn(C, C * 50, answered=(f"m{number}",), profile=profile(KEY.interlocutor, KEY.tenant, x=C)),
                  EpisodeKept(tenant=KEY.tenant, at_ms=NOW_MS, kind="episode", id=C, interlocutor=KEY.interlocutor,
                              body=b'{"a":"Quagmire"}')])
    store.apply()
print(store.health(), store.keys.status(), store.audit.head(KEY.tenant), store)
store.keys.rotate("users")
store.keys.finish(print)
print(store.backup.ship(Path(data) / "archive"))
store.audit.hold(KEY.tenant, KEY.interlocutor, held=True, reason=C, by=C, at_ms=NOW_MS)
for work in (lambda: store.audit.erase(KEY.tenant, KEY.interlocutor, reason=C, by=C, at_ms=NOW_MS),
             lambda: store.audit.erase(KEY.tenant, C, reason=C, by=C, at_ms=NOW_MS),
             lambda: store.tenant(KEY.tenant).runs(cursor=C),
             lambda: store.tenant(KEY.tenant)._runs._runs.find(order=(C,)),
             lambda: store.append([talk.turn(C, C, run_id="r" * 20_000_000)]),
             lambda: store.append([object()]),
             lambda: store.append([EpisodeKept(tenant=KEY.tenant, at_ms=0, kind="episode", id=C, interlocutor="",
                                               body=C.encode() * 200_000)])):
    try:
        work()
        print("did", work)
    except Exception:
        traceback.print_exc()
store.close()
print(Restore(Path(data) / "archive", StaticKey()).run(Path(data) / "again"))
print(verify(Path(data) / "again", Evidence(Path(data) / "again", StaticKey()), (), None))
for path in sorted((Path(data) / "again").rglob("*")):
    if path.suffix in (".seg", ".day", ".snap") or path.name in ("keyring", "tables.duckdb"):
        content = path.read_bytes()
        path.write_bytes(content[:len(content) // 2] + bytes([content[len(content) // 2] ^ 1])
                         + content[len(content) // 2 + 1:])
        try:
            with Store.open(Path(data) / "again", StaticKey()) as broken:
                print(broken.tenant(KEY.tenant).verify_session("s1"))
        except Exception:
            traceback.print_exc()
        path.write_bytes(content)
print("written elsewhere:", elsewhere)
"""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Everything that a store does, and everything that goes wrong, in a process of its own with all logs on."""
    folder = tmp_path_factory.mktemp("canary")
    for name in ("data", "tmp", "here"):
        (folder / name).mkdir()
    done = subprocess.run([sys.executable, "-X", "dev", "-c", _LIFE, str(folder / "data")], capture_output=True,
                          text=True, cwd=folder / "here", check=False, errors="replace", env={
                              **os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT),
                              "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout + done.stderr


def test_no_file_holds_the_word_and_none_is_written_elsewhere(life: tuple[Path, str]) -> None:
    """Security items 42 and 43: data, backup, restored copy and temporary files. Verifying opens a copy of the keyring,
    whose keys are wrapped, so that it changes nothing; the copy goes."""
    folder, said = life
    words = [CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.encode().hex().encode(), CANARY.upper().encode()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert [path for path in files if any(word in path.read_bytes() for word in words)] == []
    assert list((folder / "tmp").iterdir()) == []
    assert list((folder / "here").iterdir()) == []
    elsewhere = next(line for line in said.splitlines() if line.startswith("written elsewhere: "))
    assert all(Path(path).is_relative_to(folder / "tmp") for path in ast.literal_eval(elsewhere.partition(": ")[2]))


def test_neither_output_nor_logs_nor_the_text_of_an_error_holds_the_word(life: tuple[Path, str]) -> None:
    """Security item 42: at every log level, with every traceback printed."""
    _, said = life
    assert said.count("Traceback") >= 7
    assert [line for line in said.splitlines() if CANARY in line] == []
