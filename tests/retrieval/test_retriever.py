"""The retriever: what is found, for whom, in which version, and how it behaves while it is busy or broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from threading import Event

import anyio
import numpy as np
import pytest

from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.plugins.contracts import Retrieval, Vectors
from ruche.plugins.embedders import HashingEmbedder, MiniLmEmbedder
from ruche.plugins.errors import ConfigurationError, ProviderFailed, Unavailable
from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.passages import knowledge_chunks, passages
from ruche.storage.model.agent import Agent
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import Rule
from ruche.storage.model.scenario import Scenario, Step, Transition
from ruche.storage.model.wording import Intent

pytestmark = pytest.mark.anyio


def rule(name: str, condition: str, **more: object) -> Rule:
    return Rule.model_validate({"id": name, "if": condition, "then": "say so", **more})


def shop(tenant: str = "default", **changes: object) -> AgentBundle:
    steps = (Step(id="ask", next=(Transition.model_validate({"to": "done", "if": "the user gives an order number"}),
                                  Transition.model_validate({"to": "out", "if": "the user gives up"}))),
             Step(id="done"), Step(id="out"))
    bundle = AgentBundle(
        id="shop", tenant=tenant, agent=Agent(name="Shop"),
        rules=(rule("refund", "the user wants a refund", examples=("money back", "my money back please")),
               rule("parcel", "the user asks where the parcel is"),
               rule("hidden", "the user wants a refund of the refund", enabled=False),
               rule("step", "the user wants a refund here", scope="STEP", scope_id="track/ask"),
               rule("scenario", "the user wants a refund now", scope="SCENARIO", scope_id="track")),
        intents=(Intent(id="opening_hours"), Intent(id="complain", description="the user complains")),
        scenarios=(Scenario(id="track", entry="the user wants to track a parcel", steps=steps),),
        knowledge={"faq.md": "# Delivery\n\nParcels take three days.\n\n# Refunds\n\nRefunds take ten days."})
    return bundle.model_copy(update=changes)


class Counting(HashingEmbedder):
    """Real vectors, on the service thread, and a list of what was encoded."""

    immediate = False

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked.extend(texts)
        return super().encode(texts)


class Gate(HashingEmbedder):
    """Waits before it encodes the text that names the gate."""

    immediate = False

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.open = Event(), Event()

    def encode(self, texts: Sequence[str]) -> Vectors:
        if "gate" in texts:
            self.entered.set()
            self.open.wait(10)
        return super().encode(texts)


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with ActorSystem() as running:
        yield running


@pytest.fixture(params=["on the loop", "on the thread"])
async def retriever(request: pytest.FixtureRequest, system: ActorSystem) -> Retriever:
    made = Retriever(HashingEmbedder() if request.param == "on the loop" else Counting(), system)
    await made.prepare(shop(), 1)
    return made


async def test_every_kind_is_found_by_one_call(retriever: Retriever) -> None:
    hits = await retriever.retrieve("default", "shop", 1, "I want a refund for my parcel")
    assert {hit.id for hit in hits.rules} == {"refund", "parcel", "step", "scenario"}
    assert [hit.id for hit in hits.scenarios] == ["track"]
    assert {hit.id for hit in hits.intents} == {"opening_hours", "complain"}
    assert {hit.id for hit in hits.transitions} == {"track/ask>done", "track/ask>out"}
    assert hits.knowledge[0].id in ("faq.md#1", "faq.md#2")
    taken: Retrieval = retriever
    assert taken is retriever


async def test_hits_come_best_first_with_rounded_scores(retriever: Retriever) -> None:
    hits = (await retriever.retrieve("default", "shop", 1, "where is the parcel")).rules
    assert hits[0].id == "parcel"
    assert list(hits) == sorted(hits, key=lambda hit: (-hit.score, hit.id))
    assert all(round(number, 4) == number for hit in hits for number in (hit.score, hit.vector, hit.lexical))
    taught = next(hit for hit in hits if hit.id == "refund")
    assert taught.score == pytest.approx((taught.vector + 0.1 * taught.lexical) / 1.1, abs=2e-4)


@pytest.mark.parametrize(("own", "lifted"), [(None, True), (0.95, False)])
async def test_a_rule_without_examples_is_lifted_above_the_agents_own_threshold_only(
        own: float | None, lifted: bool, system: ActorSystem) -> None:
    retriever, bundle = Retriever(HashingEmbedder(), system), shop()
    await retriever.prepare(bundle.model_copy(update={"agent": bundle.agent.model_copy(
        update={"rule_threshold": own})}), 1)
    hits = await retriever.retrieve("default", "shop", 1, "please tell me about that parcel of mine")
    hit = next(one for one in hits.rules if one.id == "parcel")
    plain = (hit.vector + 0.1 * hit.lexical) / 1.1
    assert 0.35 < plain < 0.95
    assert (hit.score > plain + 0.05) == lifted
    assert lifted or hit.score == pytest.approx(plain, abs=2e-4)


async def test_a_rule_is_found_by_its_best_example(retriever: Retriever) -> None:
    hits = (await retriever.retrieve("default", "shop", 1, "money back")).rules
    assert (hits[0].id, hits[0].vector) == ("refund", 1.0)


async def test_the_limit_counts_for_each_kind(retriever: Retriever) -> None:
    hits = await retriever.retrieve("default", "shop", 1, "refund", limit=1)
    assert [len(part) for part in (hits.rules, hits.intents, hits.transitions, hits.knowledge)] == [1, 1, 1, 1]
    assert (await retriever.retrieve("default", "shop", 1, "refund", limit=0)).rules == ()


async def test_scopes_leave_out_what_belongs_elsewhere_before_the_cut(retriever: Retriever) -> None:
    async def found(*scopes: str) -> tuple[set[str], set[str]]:
        hits = await retriever.retrieve("default", "shop", 1, "refund", scopes=scopes)
        return {hit.id for hit in hits.rules}, {hit.id for hit in hits.transitions}

    assert await found() == ({"refund", "parcel"}, set())
    assert await found("track") == ({"refund", "parcel", "scenario"}, set())
    assert await found("track", "track/ask") == ({"refund", "parcel", "scenario", "step"},
                                                 {"track/ask>done", "track/ask>out"})


@pytest.mark.parametrize("text", ["", "🙂", "\x00\x01", "word " * 200_000, "half \ud83d pair"])
async def test_any_text_gets_an_answer(retriever: Retriever, text: str) -> None:
    assert len((await retriever.retrieve("default", "shop", 1, text)).rules) == 4


async def test_an_agent_without_anything_to_find_gives_empty_hits(retriever: Retriever) -> None:
    await retriever.prepare(AgentBundle(id="empty", agent=Agent(name="Empty")), 1)
    hits = await retriever.retrieve("default", "empty", 1, "hello")
    assert (hits.rules, hits.intents, hits.scenarios, hits.transitions, hits.knowledge) == ((), (), (), (), ())


# --- tenants and versions


async def test_tenants_with_the_same_agent_id_find_only_their_own(retriever: Retriever) -> None:
    """Security items 4 and 6: one index per tenant; another tenant's agent is unknown, not filtered."""
    await retriever.prepare(shop("acme", rules=(rule("secret", "the user wants a refund"),), knowledge={}), 1)
    ours = await retriever.retrieve("default", "shop", 1, "refund")
    theirs = await retriever.retrieve("acme", "shop", 1, "refund")
    assert "secret" not in {hit.id for hit in ours.rules}
    assert [hit.id for hit in theirs.rules] == ["secret"]
    assert theirs.knowledge == ()


async def test_a_text_that_one_tenant_asked_is_not_remembered_for_another(system: ActorSystem) -> None:
    """Security item 6: no cache key is shared between tenants, so that its speed tells nothing about the other."""
    embedder = Counting()
    retriever = Retriever(embedder, system)
    for tenant in ("acme", "globex"):
        await retriever.prepare(shop(tenant), 1)
    embedder.asked.clear()
    for tenant in ("acme", "acme", "globex"):
        await retriever.retrieve(tenant, "shop", 1, "a secret plan")
    assert embedder.asked == ["a secret plan"] * 2


@pytest.mark.parametrize(("tenant", "agent", "version"), [
    ("acme", "shop", 1), ("default", "x", 1), ("default", "shop", 2)])
async def test_what_is_not_prepared_is_unavailable(retriever: Retriever, tenant: str, agent: str, version: int) -> None:
    with pytest.raises(Unavailable, match="not prepared"):
        await retriever.retrieve(tenant, agent, version, "hello")


async def test_the_last_two_versions_are_kept_and_each_answers_for_itself(retriever: Retriever) -> None:
    await retriever.prepare(shop(rules=(rule("second", "the user wants a refund"),)), 2)
    await retriever.prepare(shop(rules=(rule("third", "the user wants a refund"),)), 3)
    assert retriever.prepared("default", "shop") == (2, 3)
    assert [hit.id for hit in (await retriever.retrieve("default", "shop", 2, "refund")).rules] == ["second"]
    assert [hit.id for hit in (await retriever.retrieve("default", "shop", 3, "refund")).rules] == ["third"]
    retriever.forget("default", "shop")
    assert retriever.prepared("default", "shop") == ()


async def test_a_new_version_embeds_only_its_new_texts(system: ActorSystem) -> None:
    embedder = Counting()
    retriever = Retriever(embedder, system)
    await retriever.prepare(shop(), 1)
    embedder.asked.clear()
    await retriever.prepare(shop(rules=(*shop().rules, rule("new", "the user sings"))), 2)
    assert embedder.asked == ["the user sings"]


async def test_an_index_that_was_updated_equals_one_that_was_built_anew(system: ActorSystem) -> None:
    grown, fresh = Retriever(HashingEmbedder(), system), Retriever(HashingEmbedder(), system)
    await grown.prepare(shop(rules=shop().rules[:1]), 1)
    await grown.prepare(shop(), 2)
    await fresh.prepare(shop(), 2)
    for text in ("refund", "where is my parcel", ""):
        assert (await grown.retrieve("default", "shop", 2, text)) == (await fresh.retrieve("default", "shop", 2, text))


async def test_a_slip_is_read_as_the_agents_word_and_shown(retriever: Retriever) -> None:
    hits = await retriever.retrieve("default", "shop", 1, "where is my Parceel")
    assert hits.repaired == (("Parceel", "parcel"),)
    right = await retriever.retrieve("default", "shop", 1, "where is my parcel")
    assert (hits.rules, right.repaired) == (right.rules, ())


async def test_an_agent_may_switch_repair_off(retriever: Retriever) -> None:
    await retriever.prepare(shop(agent=Agent(name="Shop", repair_spelling=False)), 2)
    assert (await retriever.retrieve("default", "shop", 2, "where is my parceel")).repaired == ()


async def test_examples_of_two_rules_teach_a_head_and_the_background_is_embedded_once(system: ActorSystem) -> None:
    embedder = Counting()
    retriever = Retriever(embedder, system)
    more = (*shop().rules, rule("open", "the user asks for the hours", examples=("when do you open",)))
    await retriever.prepare(shop(rules=more), 1)
    await retriever.prepare(shop(id="other", rules=more), 1)
    assert embedder.asked.count(BACKGROUND[0]) == 1
    told = Retriever(HashingEmbedder(), system)
    await told.prepare(shop(rules=more), 1)
    text = "open when"
    assert (await told.retrieve("default", "shop", 1, text)) == (await retriever.retrieve("default", "shop", 1, text))
    hits = {hit.id: hit for hit in (await told.retrieve("default", "shop", 1, text)).rules}
    assert hits["open"].score != pytest.approx((hits["open"].vector + 0.1 * hits["open"].lexical) / 1.1, abs=2e-4)
    assert hits["parcel"].score == pytest.approx((hits["parcel"].vector + 0.1 * hits["parcel"].lexical) / 1.1, abs=2e-4)


async def test_hits_say_when_each_rule_was_decided_for_itself(system: ActorSystem) -> None:
    retriever = Retriever(HashingEmbedder(), system)
    more = (*shop().rules, rule("open", "the user asks for the hours", examples=("money back", "when do you open")))
    for version, (rules, several) in enumerate(((shop().rules, None), (more, None), (more, False)), start=1):
        await retriever.prepare(shop(rules=rules, agent=Agent(name="Shop", several_rules=several)), version)
    said = [(await retriever.retrieve("default", "shop", version, "money back")).several for version in (2, 3)]
    assert said == [True, False]
    await retriever.prepare(shop(), 4)
    assert not (await retriever.retrieve("default", "shop", 4, "money back")).several


async def test_progress_is_told_until_every_text_is_embedded(system: ActorSystem) -> None:
    told: list[tuple[int, int]] = []
    await Retriever(Counting(), system).prepare(shop(), 1, lambda done, of: told.append((done, of)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 8


# --- while it is busy, and when the embedder misbehaves


async def test_conversations_are_served_while_an_agent_is_prepared(system: ActorSystem) -> None:
    """Preparing 200 rules goes in slices; a retrieval asked in the middle is answered before the preparation ends."""
    embedder = Counting()
    retriever = Retriever(embedder, system)
    await retriever.prepare(shop(), 1)
    large = shop(id="large", rules=tuple(rule(f"r{n}", f"condition number {n}") for n in range(200)))
    order: list[str] = []

    async def prepare() -> None:
        await retriever.prepare(large, 1)
        order.append("prepared")

    async def retrieve() -> None:
        await retriever.retrieve("default", "shop", 1, "refund")
        order.append("retrieved")

    async with anyio.create_task_group() as group:
        group.start_soon(prepare)
        group.start_soon(retrieve)
    assert order == ["retrieved", "prepared"]


async def test_a_cancelled_preparation_leaves_the_earlier_version(system: ActorSystem) -> None:
    embedder = Gate()
    retriever = Retriever(embedder, system)
    await retriever.prepare(shop(), 1)
    async with anyio.create_task_group() as group:
        group.start_soon(retriever.prepare, shop(rules=(rule("gate", "gate"),)), 2)
        await anyio.to_thread.run_sync(embedder.entered.wait, 10)
        group.cancel_scope.cancel()
    embedder.open.set()
    assert retriever.prepared("default", "shop") == (1,)
    assert (await retriever.retrieve("default", "shop", 1, "refund")).rules[0].id == "refund"


class Broken(Counting):
    """Gives what it is told to give."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def encode(self, texts: Sequence[str]) -> Vectors:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if self.answer is not None else super().encode(texts)  # type: ignore[return-value]


@pytest.mark.parametrize("answer", [ValueError("secret text"), np.zeros((3, 3), dtype=np.float32), "nonsense"])
async def test_an_embedder_that_breaks_costs_its_own_result_only(system: ActorSystem, answer: object) -> None:
    embedder = Broken(None)
    retriever = Retriever(embedder, system)
    await retriever.prepare(shop(), 1)
    embedder.answer = answer
    with pytest.raises(ProviderFailed) as caught:
        await retriever.retrieve("default", "shop", 1, "refund")
    assert "secret" not in caught.value.message
    embedder.answer = None
    assert (await retriever.retrieve("default", "shop", 1, "refund")).rules[0].id == "refund"


async def test_vectors_that_are_not_unit_vectors_are_refused_when_an_agent_is_prepared(system: ActorSystem) -> None:
    embedder = Broken(None)
    one_text = shop(rules=shop().rules[1:2], intents=(), scenarios=(), knowledge={})
    embedder.answer = np.full((1, 512), np.nan, dtype=np.float32)
    with pytest.raises(ConfigurationError, match="length"):
        await Retriever(embedder, system).prepare(one_text, 1)


# --- the texts themselves


def test_rules_are_searched_on_condition_and_examples_never_on_the_action() -> None:
    texts = {passage.text for passage in passages(shop()) if passage.kind == "rule"}
    assert "the user wants a refund" in texts
    assert "money back" in texts
    assert "say so" not in texts
    assert "the user wants a refund of the refund" not in texts


def test_an_intent_without_a_description_is_searched_by_its_name() -> None:
    assert "the user asks about opening hours" in {passage.text for passage in passages(shop())}


def test_knowledge_is_cut_at_headings_and_keeps_them() -> None:
    chunks = knowledge_chunks({"faq.md": "# A\n\none\n\ntwo\n\n# B\n\n" + "long " * 400, "empty.md": "\n\n",
                               "heading.md": "# H"})
    assert chunks["faq.md#1"] == "# A\n\none\n\ntwo"
    assert len(chunks) == 4
    assert all(chunk.startswith("# B") and len(chunk) <= 820 for key, chunk in chunks.items() if key != "faq.md#1")


async def test_minilm_finds_by_meaning_what_shares_no_word(system: ActorSystem, minilm: MiniLmEmbedder) -> None:
    retriever = Retriever(minilm, system)
    await retriever.prepare(shop(), 1)
    hits = (await retriever.retrieve("default", "shop", 1, "my package has not arrived yet")).rules
    assert hits[0].id == "parcel"
    assert hits[0].lexical == 0.0
    assert hits[0].score > hits[1].score + 0.05


async def test_minilm_takes_no_word_that_it_knows_for_a_slip(system: ActorSystem, minilm: MiniLmEmbedder) -> None:
    retriever = Retriever(minilm, system)
    await retriever.prepare(shop(), 1)
    assert (await retriever.retrieve("default", "shop", 1, "where is the marcel")).repaired == ()
    assert (await retriever.retrieve("default", "shop", 1, "where is the parxel")).repaired == (("parxel", "parcel"),)
