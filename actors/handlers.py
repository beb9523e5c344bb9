"""What the author of an actor writes: how it is to be treated, and what it does when."""

from __future__ import annotations

import inspect
import logging
from types import TracebackType
from typing import Any, ClassVar

import pykka

from ruche.plugins.errors import RucheError

log = logging.getLogger(__name__)


class Handlers(pykka.Actor):
    """Base of coroutine actors (`actor.py`)."""

    mailbox_size: ClassVar[int] = 1000
    """Ordinary messages that may wait; the next is refused with MailboxFull."""
    put_timeout: ClassVar[float] = 5.0
    """Seconds that another thread's tell waits for room."""
    throughput: ClassVar[int] = 32
    """Messages handled before other tasks get the loop."""
    turn_scope: ClassVar[bool] = False
    """Give each message a cancel scope, for `supersede` and its deadline to cancel (costs 3 us a message)."""
    expected: ClassVar[tuple[type[Exception], ...]] = (RucheError,)
    registered: ClassVar[bool] = True
    """In pykka's ActorRegistry. That is a list: an actor of which there are thousands says False."""

    def on_start(self) -> Any:
        """Before the first message; a failure here ends the actor without `on_failure`. May be a coroutine."""

    def on_stop(self) -> Any:
        """After the last message of an actor that was asked to stop. May be a coroutine."""

    def on_failure(self, exception_type: type[BaseException] | None, exception_value: BaseException | None,
                   traceback: TracebackType | None) -> Any:
        """After the exception that ended the actor. May be a coroutine."""

    def on_receive(self, message: Any) -> Any:
        """Handle a message; the return value, or what the coroutine returns, is the answer."""
        log.warning("%s has no handler for a %s", type(self).__name__, type(message).__name__)


async def settled(value: Any) -> Any:
    """What a hook or a handler gives, awaited where it is a coroutine."""
    return await value if inspect.isawaitable(value) else value
