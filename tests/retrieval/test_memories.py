"""Memories of persons: learnt once, kept, loaded again, and never of two persons or two tenants at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bench.suites import memory as suite
from ruche.actors.citing import CITED
from ruche.actors.memory import KEPT, Memories
from ruche.actors.reranker import Reranking
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.meters import MemoryMeters
from ruche.plugins.contracts import Asked
from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.plugins.embedders.minilm import MiniLmEmbedder
from ruche.plugins.errors import ConfigurationError, IntegrityError, StorageFull
from ruche.plugins.rerankers import SentenceReranker
from ruche.storage.model.memory import Remembered, Utterance
from tests.retrieval.conversations import write_set
from tests.retrieval.test_quality_bench import measured

pytestmark = pytest.mark.anyio

TALK = tuple(Utterance(id=f"m{number}", session="s", speaker=speaker, at_ms=1_780_000_000_000, text=text,
                       turn=f"t{number // 2}")
             for number, (speaker, text) in enumerate((
                 ("person", "My plum tree lost all its leaves."), ("agent", "How often do you water it?"),
                 ("person", "Every day, and the soil is heavy."), ("agent", "Then water it once a week only."),
                 ("person", "My sister Lena ordered a blue kettle."), ("agent", "It ships on Monday."))))


class Board:
    """Shelves in memory that can be full."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], list[Remembered]] = {}
        self.loads = 0
        self.full = False

    async def load(self, tenant: str, person: str) -> list[Remembered]:
        self.loads += 1
        return list(self.kept.get((tenant, person), ()))

    async def keep(self, tenant: str, person: str, memories: Sequence[Remembered]) -> None:
        if self.full:
            raise StorageFull("full")
        self.kept.setdefault((tenant, person), []).extend(memories)


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with ActorSystem() as running:
        yield running


def memories(system: ActorSystem, board: Board | None = None, **more: object) -> Memories:
    return Memories(Retriever(HashingEmbedder(), system), board, system=system, **more)  # type: ignore[arg-type]


def asked(text: str, person: str = "ada", tenant: str = "default", **more: object) -> Asked:
    return Asked(tenant=tenant, person=person, text=text, **more)  # type: ignore[arg-type]


async def test_what_was_said_is_found_and_the_best_of_it_is_cited(system: ActorSystem) -> None:
    known = memories(system)
    assert await known.remember("default", "ada", TALK) == len(TALK)
    recalled = await known.recall(asked("what colour is the kettle of my sister?"))
    assert recalled.memories[0].id == "m4"
    assert recalled.cited[0] == "m4"
    assert (len(recalled.memories), recalled.considered) == (min(KEPT, len(TALK)), len(TALK))
    assert len(recalled.cited) <= CITED


async def test_what_has_nothing_to_do_with_the_question_is_not_cited(system: ActorSystem) -> None:
    known = memories(system)
    await known.remember("default", "ada", TALK)
    assert (await known.recall(asked("xylophone quartz", least=0.5))).cited == ()


async def test_what_was_said_several_times_is_cited_once_and_the_cut_is_told(system: ActorSystem) -> None:
    held = memories(system)
    again = tuple(Utterance(id=f"again{number}", session=f"s{number}", speaker="person", at_ms=1_780_000_000_000,
                            text="My plum tree lost all its leaves.", turn=f"again{number}") for number in range(3))
    await held.remember("default", "ada", (*TALK, *again))
    found = await held.recall(asked("what about the leaves of my plum tree?"))
    texts = {one.id: one.text for one in found.memories}
    told = [texts[name] for name in found.cited]
    assert told[0] == "My plum tree lost all its leaves."
    assert len(set(told)) == len(told)
    assert found.method == "topics"
    assert not set(found.repeated) & set(found.cited)
    assert set(found.repeated) <= {"m0", "again0", "again1", "again2"}


async def test_the_same_words_are_learnt_once(system: ActorSystem) -> None:
    board = Board()
    known = memories(system, board)
    await known.remember("default", "ada", TALK[:4])
    assert await known.remember("default", "ada", TALK) == 2
    assert [one.utterance.id for one in board.kept["default", "ada"]] == [one.id for one in TALK]


@pytest.mark.parametrize(("person", "tenant"), [("bob", "default"), ("ada", "other"), ("", "default")])
async def test_nobody_is_told_what_another_person_or_tenant_said(system: ActorSystem, person: str,
                                                                 tenant: str) -> None:
    known = memories(system, Board())
    await known.remember("default", "ada", TALK)
    recalled = await known.recall(asked("the blue kettle", person, tenant))
    assert (recalled.memories, recalled.cited, recalled.considered) == ((), (), 0)


async def test_what_was_kept_is_found_after_a_restart_as_before_it(system: ActorSystem) -> None:
    board, question = Board(), asked("how often to water the plum tree?")
    first = memories(system, board)
    await first.remember("default", "ada", TALK)
    again = memories(system, board)
    assert [one.id for one in (await again.recall(question)).memories] == \
        [one.id for one in (await first.recall(question)).memories]
    assert (await again.recall(question)).memories == (await again.recall(question)).memories


async def test_a_memory_that_made_room_for_others_is_read_again(system: ActorSystem) -> None:
    board = Board()
    known = memories(system, board, people=2)
    await known.remember("default", "ada", TALK)
    for person in ("bob", "cem"):
        await known.remember("default", person, TALK[:1])
    loads = board.loads
    assert (await known.recall(asked("the blue kettle"))).memories[0].id == "m4"
    assert board.loads == loads + 1


async def test_what_cannot_be_read_is_told_and_counted(system: ActorSystem) -> None:
    class Sealed(Board):
        async def load(self, tenant: str, person: str) -> list[Remembered]:
            raise IntegrityError("a memory does not open")

    meters = MemoryMeters()
    with pytest.raises(IntegrityError):
        await memories(system, Sealed(), meters=meters).recall(asked("what about it?"))
    assert b'memory_decryption_failures_total{reason="%s"} 1.0' % IntegrityError("").code.encode() in meters.render(
        "closed", 0)


async def test_what_could_not_be_kept_is_not_known_and_may_be_tried_again(system: ActorSystem) -> None:
    board = Board()
    known, board.full = memories(system, board), True
    with pytest.raises(StorageFull):
        await known.remember("default", "ada", TALK)
    assert (await known.recall(asked("kettle"))).memories == ()
    board.full = False
    assert await known.remember("default", "ada", TALK) == len(TALK)


async def test_vectors_of_another_embedder_are_made_anew(system: ActorSystem) -> None:
    board = Board()
    await memories(system, board).remember("default", "ada", TALK)
    board.kept["default", "ada"] = [Remembered(utterance=one.utterance, embedder="another", dimensions=3,
                                               rows=b"\0" * 6) for one in board.kept["default", "ada"]]
    assert (await memories(system, board).recall(asked("the blue kettle"))).memories[0].id == "m4"


async def test_a_forgotten_person_is_not_held_any_more(system: ActorSystem) -> None:
    board = Board()
    known = memories(system, board)
    await known.remember("default", "ada", TALK)
    board.kept.clear()
    await known.forget("default", "ada")
    assert (await known.recall(asked("kettle"))).memories == ()


async def test_turns_that_are_known_anyhow_are_left_out(system: ActorSystem) -> None:
    known = memories(system)
    await known.remember("default", "ada", TALK)
    recalled = await known.recall(asked("the blue kettle", without=("t2",)))
    assert {one.turn for one in recalled.memories} == {"t0", "t1"}


class ByLength:
    """A reranker that prefers long passages."""

    name = "by-length"

    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        return [-100.0 + len(passage) for passage in passages]


class Breaking(ByLength):
    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        raise ValueError("broken")


async def test_a_reranker_has_half_a_say_and_its_score_is_told(system: ActorSystem) -> None:
    known = memories(system, reranking=Reranking(ByLength(), budget=10.0, system=system))
    await known.remember("default", "ada", TALK)
    recalled = await known.recall(asked("plum tree water"))
    assert recalled.reason == ""
    assert all(one.reranked is not None for one in recalled.memories)
    assert [one.place for one in recalled.memories] != sorted(one.place for one in recalled.memories)


@pytest.mark.parametrize(("reranker", "reason"), [(Breaking(), "failed"), (None, "disabled"),
                                                  (SentenceReranker(HashingEmbedder()), "held")])
async def test_without_a_reranker_the_order_of_the_search_stands_and_says_why(
        system: ActorSystem, reranker: ByLength | None, reason: str) -> None:
    known = memories(system, reranking=Reranking(reranker, budget=10.0, system=system))
    await known.remember("default", "ada", TALK)
    recalled = await known.recall(asked("plum tree water"))
    assert (recalled.reason, len(recalled.memories)) == (reason, len(TALK))
    assert [one.place for one in recalled.memories] == list(range(len(TALK)))
    assert {one.reranked for one in recalled.memories} == {None}


async def test_made_up_conversations_are_recalled_by_meaning(minilm: MiniLmEmbedder, tmp_path: Path) -> None:
    """The best single view alone reaches 46 % here; see bench/suites/memory.py for real conversations."""
    folder = write_set(tmp_path / "set", episodes=8)
    async with ActorSystem() as running:
        from bench.suites.asking import Asking

        metrics = await suite.run(Asking(Retriever(minilm, running)), folder, None, None, 7)
    assert metrics["n"] == 32
    assert metrics["recall_at_10"] >= 75.0
    assert metrics["recall_at_5"] <= metrics["recall_at_10"]


def test_the_suite_measures_recall_of_evidence_overall_and_by_category(tmp_path: Path) -> None:
    turns = [{"id": f"D1:{number}", "speaker": "Ada", "text": text}
             for number, text in enumerate(["A plum tree.", "A blue kettle.", *["Nothing at all."] * 30])]
    (tmp_path / "conversations.jsonl").write_text(json.dumps(
        {"id": 0, "sessions": [{"id": 1, "time": "2:15 pm on 3 March, 2024", "turns": turns}]}))
    rows = [{"conversation": 0, "question": "plum tree", "evidence": ["D1:0", "D1:31"], "category": 1},
            {"conversation": 0, "question": "blue kettle", "evidence": ["D1:1"], "category": "x"},
            {"conversation": 0, "question": "never said", "evidence": [], "category": "x"}]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = measured("memory", "--data", str(tmp_path))
    assert result["n"] == 2
    assert result["metrics"]["recall_at_5"] == 75.0
    assert result["metrics"]["recall_at_10_category_1"] == 50.0
    assert result["metrics"]["recall_at_10_category_x"] == 100.0


def test_a_folder_without_conversations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"conversations\.jsonl"):
        dict(suite._conversations(tmp_path))


@pytest.mark.parametrize(("text", "at_ms"), [
    ("2:15 pm on 3 March, 2024", 1_709_475_300_000), ("2024-03-03", 1_709_424_000_000),
    ("March 3, 2024", 1_709_424_000_000), ("12:05 am on 3 March, 2024", 1_709_424_300_000), ("31 February 2024", 0),
    ("soon", 0), ("", 0)])
def test_times_of_conversations_are_read_in_several_forms(text: str, at_ms: int) -> None:
    assert suite.when(text) == at_ms
