"""What is known about people, shared by their sessions: two sessions of one person must not overwrite each other."""

from __future__ import annotations

from weakref import WeakValueDictionary

import anyio
from msgspec.structs import replace

from ruche.storage.model.conversation import Message, Profile


class Person:
    """One person's newest durable profile. Who changes it holds `lock` from reading it until the change is durable.

    `requests` are the messages without a committed answer by their idempotency key, each with the line that has it.
    """

    __slots__ = ("__weakref__", "lock", "profile", "requests")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.lock = anyio.Lock()
        self.requests: dict[str, tuple[object, Message]] = {}


class People:
    """The persons that active sessions know, by tenant and interlocutor; forgotten with their last session."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, str], Person] = WeakValueDictionary()

    def meet(self, tenant: str, interlocutor: str, kept: Profile | None) -> Person:
        """The shared person; `kept` is what the store holds, used unless another session knows the person already."""
        person = self._known.get((tenant, interlocutor))
        if person is None:
            person = Person(kept or Profile(interlocutor=interlocutor, tenant=tenant))
            self._known[tenant, interlocutor] = person
        return person


def merged(before: Profile, after: Profile, newest: Profile) -> Profile:
    """A turn's change of a profile (from `before` to `after`) applied to the newest one."""
    if newest is before:
        return replace(after, version=before.version + 1)
    fields = {name: value for name, value in newest.fields.items()
              if name in after.fields or name not in before.fields}
    fields.update({name: value for name, value in after.fields.items() if before.fields.get(name) != value})
    return replace(newest, fields=fields, version=newest.version + 1)
