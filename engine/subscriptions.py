"""Webhooks that admins make over the API: created, verified by a challenge, tried, paused, and sent again.

One is called only once its address has shown that it wants to be: it repeats a challenge. Those of the settings are
shown beside them and changed there.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import aiohttp
import msgspec
from msgspec.structs import replace

from ruche.engine.callouts import Answered, address_fault
from ruche.engine.webhooks import KIND, SHORTEST_SECRET, Hook, Webhooks
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound, ProviderFailed, ReadOnly
from ruche.plugins.tools.addresses import may_call
from ruche.storage.model.event import EventKind, OutboxItem
from ruche.storage.model.record import ReminderSet, WebhookSaved
from ruche.storage.model.webhook import Delivery, HookState, Webhook

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.secured import Page

MOST: Final = 100
"""Webhooks of a tenant."""
EVENTS: Final = tuple(one for one in get_args(EventKind) if one not in ("turn.phase", "message.segment"))
USUAL: Final = ("turn.completed", "turn.failed", "session.handoff")
_LONGEST: Final = 2_000
_WAITING: Final = 100_000


class Tried(NamedTuple):
    """What came of a call: the address's status (0 without an answer), what it took, and why it counts as failed."""

    status: int
    ms: float
    reason: str

    @property
    def ok(self) -> bool:
        return not self.reason


class Subscriptions:
    """Every method takes the tenant it acts for; another tenant's webhook is unknown (NotFound)."""

    def __init__(self, host: Host, webhooks: Webhooks) -> None:
        self._host, self._webhooks = host, webhooks

    async def load(self) -> None:
        """What is kept, at a start."""
        for one in await self._host.scribe.read(lambda store: store.all_webhooks()):
            self._webhooks.put(one.tenant, one.webhook)
        self._listen()

    def all(self, tenant: str) -> list[Hook]:
        """Those of the API and those of the settings, by id."""
        return self._webhooks.of(tenant)

    def get(self, tenant: str, id: str) -> Hook:
        hook = self._webhooks.get(tenant, id)
        if hook is None:
            raise NotFound("there is no such webhook")
        return hook

    async def create(self, tenant: str, url: str, *, by: str, events: Sequence[str] = USUAL,
                     agents: Sequence[str] = (), texts: bool = False, secret: str | None = None) -> Hook:
        """One that is `pending` until it is verified; without a secret it gets one of its own. Raises InvalidRequest,
        Conflict (there are too many), StorageFull."""
        if sum(hook.kept is not None for hook in self.all(tenant)) >= MOST:
            raise Conflict(f"a tenant has at most {MOST} webhooks; delete one")
        hosting = self._host.hosting
        made = Webhook(id=hosting.new_id(), url=url, secret=secret or hosting.entropy(32).hex(),
                       created_ms=hosting.clock_ms(), created_by=by, events=tuple(dict.fromkeys(events)),
                       agents=tuple(dict.fromkeys(agents)), texts=texts)
        return await self._save(tenant, made)

    async def change(self, tenant: str, id: str, **changes: Any) -> Hook:
        """`url` (then it must be verified anew), `secret`, `events`, `agents`, `texts`. Raises InvalidRequest,
        ReadOnly."""
        kept = self._own(tenant, id)
        changed = replace(kept, **changes)
        if changed.url != kept.url:
            changed = replace(changed, state="pending", failures=0)
        return await self._save(tenant, changed)

    async def delete(self, tenant: str, id: str) -> None:
        """What waits for it is given up. Raises ReadOnly."""
        kept = self._own(tenant, id)
        await self._host.scribe.commit(WebhookSaved(tenant=tenant, at_ms=self._host.hosting.clock_ms(), webhook=kept,
                                                    gone=True))
        self._webhooks.drop(id)
        self._listen()
        await self._hurry(tenant, id)

    async def verify(self, tenant: str, id: str) -> Hook:
        """Send a challenge; the address repeats it in its answer, alone or as `{"challenge": ...}`, and is active.

        Raises ReadOnly, ProviderFailed (it did not).
        """
        kept, challenge = self._own(tenant, id), self._host.hosting.entropy(16).hex()
        tried, answered = await self._send(self.get(tenant, id), "webhook.verify", challenge=challenge)
        if not tried.ok:
            raise ProviderFailed(f"it is not verified: {tried.reason}")
        if not _repeats(answered.text, challenge):
            raise ProviderFailed("it is not verified: the answer does not repeat the challenge")
        return await self._become(tenant, replace(kept, failures=0), "active")

    async def test(self, tenant: str, id: str) -> Tried:
        """Send it a `webhook.test` now, whatever its state."""
        return (await self._send(self.get(tenant, id), "webhook.test"))[0]

    async def pause(self, tenant: str, id: str) -> Hook:
        """Nothing new is noted for it, and what waits for it waits on. Raises ReadOnly, Conflict (not active)."""
        kept = self._own(tenant, id)
        if kept.state == "pending":
            raise Conflict("it is not verified yet, so nothing is sent to it")
        return await self._become(tenant, kept, "paused")

    async def resume(self, tenant: str, id: str) -> Hook:
        """What waited is sent now. Raises ReadOnly, Conflict (it was never verified)."""
        kept = self._own(tenant, id)
        if kept.state == "pending":
            raise Conflict("verify it first: its address must repeat a challenge")
        return await self._become(tenant, replace(kept, failures=0), "active")

    async def deliveries(self, tenant: str, id: str, **filters: Any) -> Page[Delivery]:
        """Newest first; filters `state`, `limit`, `cursor`."""
        self.get(tenant, id)
        return await self._host.scribe.read(lambda store: store.tenant(tenant).deliveries(id, **filters))

    async def redeliver(self, tenant: str, id: str, delivery: str) -> Delivery:
        """Send it again, under the same delivery id, with all of its tries. Raises NotFound, Conflict (the webhook is
        not active)."""
        if self.get(tenant, id).state != "active":
            raise Conflict("the webhook is not active; verify or resume it first")
        found = await self._host.scribe.read(lambda store: store.tenant(tenant).delivery(delivery))
        if found is None or found.item.target != id:
            raise NotFound("there is no such delivery")
        await self._again(tenant, found.item)
        return found

    # --- inside ----------------------------------------------------------------------------------------------

    def _own(self, tenant: str, id: str) -> Webhook:
        kept = self.get(tenant, id).kept
        if kept is None:
            raise ReadOnly("this webhook comes from the settings; change it there")
        return kept

    async def _become(self, tenant: str, kept: Webhook, state: HookState) -> Hook:
        hook = await self._save(tenant, replace(kept, state=state))
        if state == "active":
            await self._hurry(tenant, kept.id)
        return hook

    async def _save(self, tenant: str, one: Webhook) -> Hook:
        fault = self._fault(one)
        if fault:
            path, message = fault
            raise InvalidRequest(f"{path}: {message}", fields=[{"path": path, "message": message}])
        await self._host.scribe.commit(WebhookSaved(tenant=tenant, at_ms=self._host.hosting.clock_ms(), webhook=one))
        hook = self._webhooks.put(tenant, one)
        self._listen()
        return hook

    def _fault(self, one: Webhook) -> tuple[str, str] | None:
        """The field that cannot be, and why."""
        hosts, unknown = self._host.settings.callbacks.hosts, [name for name in one.events if name not in EVENTS]
        said = "too long" if len(one.url) > _LONGEST else address_fault(one.url, private=self._webhooks.private)
        if said:
            return "url", said
        if not may_call(one.url.split("://", 1)[1].split("/", 1)[0].rsplit(":", 1)[0], hosts):
            return "url", "the settings (callbacks.hosts) do not list this host"
        if unknown or not one.events:
            return "events", f"name one or more of {', '.join(EVENTS)}"
        if not SHORTEST_SECRET <= len(one.secret) <= 256 or not one.secret.isascii():
            return "secret", f"{SHORTEST_SECRET} to 256 ASCII characters"
        return None

    def _listen(self) -> None:
        """Turns note what is to be told only while somebody wants to hear it."""
        self._host.hosting.notices = self._webhooks.notices if self._webhooks else None

    async def _send(self, hook: Hook, kind: str, **more: str) -> tuple[Tried, Answered]:
        hosting, begun = self._host.hosting, time.perf_counter()
        name, now = hosting.new_id(), hosting.clock_ms()
        item = OutboxItem(id=name, kind=KIND, target=hook.id, at_ms=now, payload={
            "event_type": kind, "event_id": name, "at_ms": now, **more})
        try:
            answered = await self._webhooks.call(hook, item)
            reason = "" if 200 <= answered.status < 300 else f"the address answered {answered.status}"
        except ProviderFailed as error:
            answered, reason = Answered(0, ""), error.message
        except (OSError, aiohttp.ClientError) as error:
            answered, reason = Answered(0, ""), f"the address did not answer ({type(error).__name__})"
        return Tried(answered.status, round(1000 * (time.perf_counter() - begun), 1), reason), answered

    async def _hurry(self, tenant: str, id: str) -> None:
        """What waits for the webhook is due now."""
        waiting = await self._host.scribe.read(lambda store: store.outbox(_WAITING))
        for owner, item in waiting:
            if owner == tenant and item.kind == KIND and item.target == id:
                await self._again(tenant, item)

    async def _again(self, tenant: str, item: OutboxItem) -> None:
        now = self._host.hosting.clock_ms()
        await self._host.scribe.commit(ReminderSet(tenant=tenant, at_ms=now, item=replace(item, at_ms=now, attempts=0),
                                                   interlocutor=str(item.payload.get("interlocutor", ""))))
        self._host.standing.courier.expect(now)


def _repeats(text: str, challenge: str) -> bool:
    said = text.strip().strip('"')
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError:
        body = None
    if isinstance(body, dict):
        said = str(body.get("challenge", ""))
    return hmac.compare_digest(said.encode(), challenge.encode())
