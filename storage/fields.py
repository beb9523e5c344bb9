"""How each field of a stored model is protected, declared on the model and checked when its class is made.

| mark | what is stored | what can be asked |
|---|---|---|
| Clear | the value: an id, a number, a word of a closed vocabulary | equality, range, order |
| Hash | HMAC-SHA-256 of a person under the tenant's user-hash key | equality |
| Token | 64 bits of HMAC-SHA-256 keyed per tenant, table and field | equality |
| Bucket | a number rounded down to the bucket's width | range, order, of buckets |
| Sealed | an AES-256-GCM blob bound to its place | nothing |
| SealedSearch | the same; an index in memory may be built from it | through that index |
"""

from __future__ import annotations

import functools
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NewType, TypeVar, get_args, get_origin, get_type_hints

import msgspec

Id = NewType("Id", str)
"""A random or time-ordered identifier that says nothing about anybody: the only free text that may be clear."""


class Protection(Enum):
    CLEAR = "clear"
    HASH = "hash"
    TOKEN = "token"  # noqa: S105 - the name of a protection
    BUCKET = "bucket"
    SEALED = "sealed"
    SEALED_SEARCH = "sealed with search"

    @property
    def sealed(self) -> bool:
        return self in (Protection.SEALED, Protection.SEALED_SEARCH)


class Mark(NamedTuple):
    """A protection with its width (buckets only)."""

    protection: Protection
    width: int = 0


T = TypeVar("T")
Clear = Annotated[T, Mark(Protection.CLEAR)]
Hash = Annotated[T, Mark(Protection.HASH)]
Token = Annotated[T, Mark(Protection.TOKEN)]
Sealed = Annotated[T, Mark(Protection.SEALED)]
SealedSearch = Annotated[T, Mark(Protection.SEALED_SEARCH)]


def bucket(width: int) -> Mark:
    """The mark of a number that is stored in steps of `width`."""
    if width < 2:
        raise TypeError("a bucket is at least 2 wide; a narrower one stores the value itself")
    return Mark(Protection.BUCKET, width)


class StoredField(NamedTuple):
    """A field as declared: its name, Python type, protection, bucket width, and the words of a closed vocabulary."""

    name: str
    kind: type
    protection: Protection
    width: int
    words: frozenset[str] = frozenset()


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Base of stored models. A subclass names its table and key, and marks every field; else TypeError at once.

    `lookup` names fields that are often asked for by equality; `schema` is part of every sealed value's place. Rows
    of a model with `once` are written once and never changed. `logged` names the field with the time (ms) of what is
    also an entry of the tenant's audit log: such rows are `once`, and their last field is kept in the day segment.
    `aged` names the field with the time by which retention goes. Of an erased person's rows those of a model with
    `remains` stay, unreadable, so that their ids are known as erased; the others go.
    """

    table: ClassVar[str] = ""
    key: ClassVar[str] = ""
    schema: ClassVar[int] = 1
    lookup: ClassVar[tuple[str, ...]] = ()
    once: ClassVar[bool] = False
    logged: ClassVar[str] = ""
    aged: ClassVar[str] = ""
    remains: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        declared(cls)


@functools.cache
def declared(model: type[Stored]) -> tuple[StoredField, ...]:
    """The model's fields in order. Raises TypeError naming the field that is not protected as it must be."""
    hints = get_type_hints(model, include_extras=True)
    found = tuple(_field(model, name, hint) for name, hint in hints.items() if get_origin(hint) is not ClassVar)
    names = {field.name: field for field in found}
    if not model.table.isidentifier() or not model.table.islower():
        raise TypeError(f"{model.__name__}: `table` must be a lower-case name")
    if model.key not in names or names[model.key].protection not in _KEYS:
        raise TypeError(f"{model.__name__}: `key` must name a field that is clear, hash or token")
    for name in model.lookup:
        if name not in names or names[name].protection not in _KEYS:
            raise TypeError(f"{model.__name__}: `lookup` names {name!r}, which cannot be asked for by equality")
    for name, fitting in ((model.logged, (Protection.CLEAR,)), (model.aged, (Protection.CLEAR, Protection.BUCKET))):
        if name and (name not in names or names[name].protection not in fitting or names[name].kind is not int):
            raise TypeError(f"{model.__name__}: {name!r} must be a clear number of milliseconds")
    if model.logged and not (model.once and model.remains and found[-1].protection.sealed):
        raise TypeError(f"{model.__name__}: what is logged is written once, remains, and ends with its sealed field")
    return found


_KEYS = (Protection.CLEAR, Protection.HASH, Protection.TOKEN)
_NEEDS: dict[Protection, type] = {Protection.HASH: str, Protection.TOKEN: str, Protection.BUCKET: int,
                                  Protection.SEALED: bytes, Protection.SEALED_SEARCH: bytes}


def _field(model: type[Stored], name: str, hint: Any) -> StoredField:
    marks = [mark for mark in get_args(hint)[1:] if isinstance(mark, Mark)] if get_origin(hint) is Annotated else []
    if len(marks) != 1:
        raise TypeError(f"{model.__name__}.{name} needs exactly one protection: Clear, Hash, Token, bucket, Sealed or "
                        "SealedSearch")
    kind = get_args(hint)[0]
    needed = _NEEDS.get(marks[0].protection)
    if needed is not None and kind is not needed:
        raise TypeError(f"{model.__name__}.{name}: a field that is {marks[0].protection.value} holds "
                        f"{needed.__name__}")
    words = frozenset(get_args(kind)) if get_origin(kind) is Literal else frozenset[str]()
    if needed is None:
        kind = _clear_kind(model, name, kind)
    return StoredField(name, kind, marks[0].protection, marks[0].width, words)


def _clear_kind(model: type[Stored], name: str, kind: Any) -> type:
    if kind is Id or (get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind))):
        return str
    if kind in (int, bool):
        return kind  # type: ignore[no-any-return]
    raise TypeError(f"{model.__name__}.{name}: only ids (Id), numbers, booleans and closed vocabularies (Literal) may "
                    "be clear; seal it, or store a hash or a token of it")
