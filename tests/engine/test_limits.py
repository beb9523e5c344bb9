"""What a tenant may use: storage, models' tokens, turns at once and requests a minute, for all and for one."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from ruche.engine import Engine
from ruche.engine.config import LimitSettings, Settings, read_settings
from ruche.engine.limits import LOOK_SECONDS, MEGABYTE, Quotas, tokens_of
from ruche.engine.server.limits import Limits
from ruche.plugins.contracts import Generated, Prompt
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import ConfigurationError, QuotaExceeded, RateLimited

DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2


class Counting:
    """A generator that says how many tokens it used: 10 read, 20 written."""

    name = "counting"

    def __init__(self) -> None:
        self.at_once = self.most_at_once = 0
        self.reached: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def generate(self, prompt: Prompt) -> Generated:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.reached[self.at_once].set()
        await self.go_on.wait()
        self.at_once -= 1
        return Generated(text="Certainly.", input_tokens=10, output_tokens=20)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield (await self.generate(prompt)).text


class Hands:
    """A wall clock that is set by hand, in milliseconds."""

    def __init__(self) -> None:
        self.ms = NOON_MS

    def __call__(self) -> int:
        return self.ms


def write_agents(root: Path) -> Path:
    for name in ("hall", "@acme/hall", "@other/hall"):
        folder = root / "agents" / name
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text("name: Hall\nunmatched: I do not know.\n", encoding="utf-8")
        (folder / "rules.yaml").write_text(
            "- id: kind\n  if: always\n  scope: GLOBAL\n  then: Be kind.\n"
            "- id: whole\n  if: always\n  then: Say something.\n  hard: true\n"
            "  enforce: {use: length, options: {min_words: 1}}\n",
            encoding="utf-8")
    return root / "agents"


@asynccontextmanager
async def opened(root: Path, clock: Hands, speaker: Counting, **limits: Any) -> AsyncIterator[Engine]:
    agents = root / "agents" if (root / "agents").exists() else write_agents(root)
    settings = Settings(data=root / "data", agents=agents, limits=LimitSettings.model_validate(limits))
    make: Any = lambda use: speaker  # noqa: E731
    async with Engine.open(settings=settings, embedder=HashingEmbedder(), generator=make, clock_ms=clock) as engine:
        yield engine


async def say(engine: Engine, tenant: str = "acme", user: str = "ada") -> Any:
    return await engine.chat(agent="hall", user=user, tenant=tenant, message="Good day to you.")


@pytest.mark.anyio
async def test_the_message_after_the_days_last_token_is_refused_until_midnight_and_others_go_on(tmp_path: Path) -> None:
    clock, speaker = Hands(), Counting()
    async with opened(tmp_path, clock, speaker, tenants={"acme": {"tokens_per_day": 50}}) as engine:
        used = [(await say(engine)).usage for _ in range(2)]
        assert sum(usage.input_tokens + usage.output_tokens for usage in used) == 60
        with pytest.raises(QuotaExceeded) as refused:
            await say(engine)
        assert refused.value.retry_after == DAY_MS / 2 / 1000
        assert (await say(engine, tenant="other")).reply == "Certainly."
        assert (await engine.runs("acme")).items[0].usage.output_tokens == 20
        clock.ms += DAY_MS // 2
        assert (await say(engine)).reply == "Certainly."


@pytest.mark.anyio
async def test_tokens_of_the_day_are_remembered_over_a_restart_and_counted_once(tmp_path: Path) -> None:
    clock, speaker = Hands(), Counting()
    for number in range(3):
        clock.ms += 1_000
        async with opened(tmp_path, clock, speaker, tokens_per_day_per_tenant=90) as engine:
            clock.ms += 1_000
            await say(engine)
            if number == 2:
                with pytest.raises(QuotaExceeded):
                    await say(engine)


async def fill(engine: Engine, tenant: str, megabytes: int) -> str:
    """Talk until the tenant's turns take so much; the id of the last one."""
    last = ""
    while await engine._host.scribe.read(lambda store: store.tenant(tenant).run_bytes()) <= megabytes * MEGABYTE:
        for _ in range(20):
            words = secrets.token_urlsafe(7_400)
            last = (await engine.chat(agent="hall", user="ada", tenant=tenant, message=words)).turn_id
        await engine._host.scribe.apply()
    return last


@pytest.mark.anyio
async def test_a_tenant_that_keeps_more_than_its_share_can_read_and_not_write(tmp_path: Path) -> None:
    clock, speaker = Hands(), Counting()
    async with opened(tmp_path, clock, speaker) as engine:
        last = await fill(engine, "acme", 1)
        await say(engine, tenant="other")
    async with opened(tmp_path, clock, speaker, storage_mb_per_tenant=1) as engine:
        with pytest.raises(QuotaExceeded, match="1 MB"):
            await say(engine)
        assert (await engine.run("acme", last)).id == last
        assert (await say(engine, tenant="other")).status == "complete"
    async with opened(tmp_path, clock, speaker, storage_mb_per_tenant=1, tenants={"acme": {"storage_mb": 2}}) as engine:
        assert (await say(engine)).status == "complete"


@pytest.mark.anyio
async def test_growth_of_storage_is_seen_ten_seconds_later_and_not_looked_for_at_every_message(tmp_path: Path) -> None:
    at = 0.0
    async with opened(tmp_path, Hands(), Counting()) as engine:
        limits = LimitSettings(storage_mb_per_tenant=1)
        quotas = Quotas(limits, engine._host.scribe, Hands(), lambda: at)
        await quotas.check("acme")
        await fill(engine, "acme", 1)
        at = LOOK_SECONDS - 0.1
        await quotas.check("acme")
        at = LOOK_SECONDS
        with pytest.raises(QuotaExceeded):
            await quotas.check("acme")


@pytest.mark.anyio
async def test_a_model_that_streams_and_tells_no_usage_is_counted_by_what_was_said(tmp_path: Path) -> None:
    write_agents(tmp_path)
    for rules in (tmp_path / "agents").rglob("rules.yaml"):
        rules.write_text("- id: kind\n  if: always\n  scope: GLOBAL\n  then: Be kind.\n", encoding="utf-8")
    async with opened(tmp_path, Hands(), Counting()) as engine:
        told = await say(engine)
        run = await engine.run("acme", told.turn_id)
    assert run.usage.model_calls == 1
    assert run.usage.output_tokens == 0
    assert tokens_of(run) == len("Good day to you.Certainly.") // 4


@pytest.mark.anyio
async def test_a_tenant_has_as_many_turns_at_once_as_its_own_limit_says(tmp_path: Path) -> None:
    speaker = Counting()
    async with opened(tmp_path, Hands(), speaker, turns_at_once_per_tenant=5,
                      tenants={"acme": {"turns_at_once": 2}}) as engine:
        for tenant, most in (("acme", 2), ("other", 5)):
            speaker.most_at_once = 0
            speaker.reached.clear()
            speaker.go_on.clear()
            asked = [asyncio.ensure_future(say(engine, tenant, f"user-{n}")) for n in range(9)]
            await speaker.reached[most].wait()
            await anyio.wait_all_tasks_blocked()
            speaker.go_on.set()
            await asyncio.gather(*asked)
            assert speaker.most_at_once == most


@pytest.mark.anyio
async def test_a_crowd_that_waits_is_bounded_and_later_messages_are_told_to_come_back(tmp_path: Path) -> None:
    """Security item 15: in-flight messages per tenant, refused with Retry-After and never journalled."""
    speaker = Counting()
    async with opened(tmp_path, Hands(), speaker, waiting_per_tenant=3, tenants={"acme": {"waiting": 2}}) as engine:
        for tenant, most in (("acme", 2), ("other", 3)):
            speaker.go_on.clear()
            speaker.reached.clear()
            asked = [asyncio.ensure_future(say(engine, tenant, f"user-{n}")) for n in range(most)]
            await speaker.reached[most].wait()
            with pytest.raises(RateLimited) as refused:
                await say(engine, tenant, "late")
            assert refused.value.retry_after == 1.0
            speaker.go_on.set()
            await asyncio.gather(*asked)
            assert (await say(engine, tenant, "late")).status == "complete"
            assert len((await engine.runs(tenant)).items) == most + 1


def test_a_tenants_own_rate_counts_instead_of_the_rate_for_all() -> None:
    """Security item 15: limits per tenant."""
    limits = Limits(Settings(limits=LimitSettings.model_validate(
        {"requests_per_minute": 2, "tenants": {"acme": {"requests_per_minute": 5}, "free": {"requests_per_minute": 0}}}
    )), clock=lambda: 0.0)
    for tenant, allowed in (("acme", 5), ("other", 2)):
        for _ in range(allowed):
            limits.tenants.take(tenant)
        with pytest.raises(RateLimited):
            limits.tenants.take(tenant)
    for _ in range(100):
        limits.tenants.take("free")


def test_limits_of_one_tenant_come_from_the_file_and_from_variables(tmp_path: Path) -> None:
    file = tmp_path / "ruche.toml"
    file.write_text("[limits]\ntokens_per_day_per_tenant = 7\n[limits.tenants.acme]\nstorage_mb = 3\n",
                    encoding="utf-8")
    settings = read_settings(file, {"RUCHE_LIMITS__TENANTS__ACME__TURNS_AT_ONCE": "4"})
    acme, other = settings.limits.for_tenant("acme"), settings.limits.for_tenant("other")
    assert (acme.storage_mb, acme.turns_at_once, acme.tokens_per_day, acme.requests_per_minute) == (3, 4, 7, 6_000)
    assert (other.storage_mb, other.turns_at_once) == (0, 32)


@pytest.mark.parametrize("wrong", [{"storage_mb": -1}, {"turns_at_once": 0}, {"token_per_day": 5}])
def test_a_tenants_limit_that_cannot_be_is_refused_with_its_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=f"limits.tenants.acme.{next(iter(wrong))}"):
        read_settings(environment={}, limits={"tenants": {"acme": wrong}})


