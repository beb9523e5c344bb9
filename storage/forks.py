"""No handle survives a fork: a child lets go of every open store without touching what the parent goes on using."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Open(Protocol):
    """Something that is let go of in a forked child."""

    def disown(self) -> None: ...


_open: weakref.WeakSet[Open] = weakref.WeakSet()


def watch(one: Open) -> None:
    _open.add(one)


def forget(one: Open) -> None:
    _open.discard(one)


def _after_fork() -> None:
    for one in list(_open):
        one.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
