"""What the host does besides conversations, by itself: sweep, rotate, back up, deliver, remind, try again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ruche.actors.arrears import Arrears
from ruche.actors.clock import Clock
from ruche.actors.courier import Courier
from ruche.actors.handback import KIND as HANDOFF_TIMEOUT
from ruche.actors.reminders import Reminders
from ruche.actors.undoing import KIND as COMPENSATION
from ruche.engine.brain.memory import KIND as MEMORY
from ruche.engine.compensating import Compensation
from ruche.engine.custody import Custody
from ruche.engine.followups import KIND as FOLLOW_UP
from ruche.engine.followups import FollowUps
from ruche.engine.handing import HandBack
from ruche.engine.oversight import Sweeper
from ruche.engine.webhooks import KIND as WEBHOOK
from ruche.engine.webhooks import Webhooks
from ruche.plugins.errors import RucheError

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.plugins.contracts import ToolGateway
    from ruche.storage.model.event import OutboxItem

log = logging.getLogger(__name__)

RETENTION: Final = "retention"
_DUE_S, _ARREARS_S = 0.25, 1.0
_DELIVERY_S = 30.0
"""As long as the undoing of a tool call may take (specification section 3)."""
_DAY_MS: Final = 86_400_000
_AGAIN_MS: Final = 600_000


class Standing:
    """Made inside the actor system, once the host is there. Its clock stops before anything else does."""

    def __init__(self, host: Host, webhooks: Webhooks, tools: ToolGateway) -> None:
        hosting, scribe = host.hosting, host.scribe
        self.clock = Clock(host.sessions, scribe)
        self.courier = Courier(scribe, {}, timeout=_DELIVERY_S, clock_ms=hosting.clock_ms)
        self.reminders = Reminders(scribe, self.courier, hosting.clock_ms, hosting.new_id)
        self.sweeper, self._host = Sweeper(host), host
        self.courier.route(WEBHOOK, webhooks.deliver)
        self.courier.route(COMPENSATION, Compensation(scribe, host.catalog, tools).deliver)
        self.courier.route(FOLLOW_UP, FollowUps(host).deliver)
        self.courier.route(HANDOFF_TIMEOUT, HandBack(host).deliver)
        self.courier.route(RETENTION, self._retain)
        self.courier.route(MEMORY, host.recalling.learning.deliver)
        hosting.due = self.courier.expect
        self.clock.every(_ARREARS_S, "arrears", Arrears(host.sessions, hosting).collect)
        self.custody = Custody(host.store, scribe, host.settings.storage)
        self.custody.wind(self.clock)

    async def begin(self) -> None:
        """Deliver from now on: the agents are there, and what a crash left unanswered is being answered."""
        self.clock.every(_DUE_S, "courier", self.courier.deliver_due)
        if self._host.settings.storage.retention.rules():
            await self.reminders.ensure("default", RETENTION, self._host.hosting.clock_ms(), RETENTION)

    async def _retain(self, tenant: str, item: OutboxItem) -> int:
        """Sweep, and again when the next day begins (UTC), or soon where that failed."""
        now = self._host.hosting.clock_ms()
        try:
            await self.sweeper.sweep()
        except (RucheError, OSError) as error:
            log.warning("retention could not let go of what is old: %s", type(error).__name__)
            return now + _AGAIN_MS
        return (now // _DAY_MS + 1) * _DAY_MS
