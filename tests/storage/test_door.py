"""No public name leads to a raw row, a connection, a path or a key; and another tenant's ids are unknown everywhere."""

from __future__ import annotations

import ast
import collections.abc
import importlib
import inspect
import pkgutil
import types
import typing
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

import ruche.storage
from ruche.storage import (
    collection,
    connection,
    datafiles,
    feed,
    journal,
    keyfile,
    keylines,
    keynames,
    keyring,
    keyuse,
    ledger,
    log,
    overlay,
    reading,
    runs,
    secured,
    snapshot,
    tables,
    vault,
)
from ruche.storage.errors import IntegrityError, RucheError
from ruche.storage.model.record import EpisodeKept, IdentityLinked
from ruche.storage.store import Store
from ruche.storage.tenant import TenantStore
from tests.storage.conftest import Opener
from tests.storage.contents import everything, filled
from tests.storage.records import NOW_MS, Conversation, session_key

ROOT = Path(__file__).parents[2]
RAW: set[type] = {
    duckdb.DuckDBPyConnection, connection.Connection, connection.Appender, tables.Tables, overlay.Overlay,
    overlay.Change, journal.Journal, snapshot.Snapshots, reading.Reading, runs.DayFiles, runs.Entry, log.AuditLog,
    keyring.Keyring, keylines.KeyLines, keyfile.KeyFile, keyfile.WrappedKey, keynames.Tenant, vault.DataKey,
    collection.Collection, datafiles.DataFiles, feed.Feed, ledger.Ledger, keyuse.KeyUse, secured.Door}
"""What holds stored values, or leads to what does."""
INTERNAL = {one.__module__ for one in RAW if one.__module__.startswith("ruche.")} - {
    "ruche.storage.vault", "ruche.storage.keyring", "ruche.storage.secured"}
"""Modules that no other room imports; of the three left out only these names:"""
LENT = {"ruche.storage.vault": {"derive", "nonce", "random_bytes", "keyed_hash"},
        "ruche.storage.keyring": {"KeySource"}, "ruche.storage.secured": {"Page", "BadCursor"}}


# --- what a name leads to --------------------------------------------------------------------------------------------


def public(owner: type) -> dict[str, Any]:
    """Public methods and properties of a class."""
    return {name: one for name, one in inspect.getmembers(owner) if not name.startswith("_")}


def answers(one: Any, module: types.ModuleType) -> Any:
    """The annotation of what a method or property gives."""
    function = one.fget if isinstance(one, property) else one
    if not callable(function) or isinstance(function, type):
        return None
    try:
        return typing.get_type_hints(function, vars(module)).get("return")
    except (NameError, TypeError):
        return None


def named(annotation: Any) -> set[type]:
    """Every class in an annotation, however deep."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return {annotation}
    parts = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    found = {origin} if isinstance(origin, type) else set()
    return found.union(*(named(part) for part in parts if not isinstance(part, list))) if parts else found


def reached(*starts: type) -> dict[type, str]:
    """Every class that public names lead to from these, with the way."""
    ways, waiting = {one: one.__name__ for one in starts}, list(starts)
    while waiting:
        owner = waiting.pop()
        if not owner.__module__.startswith("ruche.storage"):
            continue
        module = importlib.import_module(owner.__module__)
        for name, one in public(owner).items():
            for found in named(answers(one, module)):
                if found not in ways:
                    ways[found] = f"{ways[owner]}.{name}"
                    waiting.append(found)
    return ways


def test_no_public_name_of_a_store_leads_to_a_raw_row_a_connection_or_a_key() -> None:
    ways = reached(Store, TenantStore)
    assert {ways[one] for one in RAW if one in ways} == set()
    assert len(ways) > 40
    assert {"Run", "Profile", "Auditor", "Keys", "Backup", "Erasure"} <= {one.__name__ for one in ways}


def test_the_walk_would_notice() -> None:
    assert connection.Connection in reached(tables.Tables) or overlay.Kept in reached(overlay.Overlay)
    assert RAW & set(reached(datafiles.DataFiles, keyuse.KeyUse, keylines.KeyLines))


def test_what_an_open_store_shows_holds_nothing_raw(open_store: Opener) -> None:
    store = open_store()
    filled(store)
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [("store", store, 0), ("tenant", store.tenant("acme"), 0)]
    looked = 0
    while waiting:
        way, one, depth = waiting.pop()
        assert not isinstance(one, tuple(RAW)), way
        if id(one) in seen or depth > 4 or not type(one).__module__.startswith("ruche.storage"):
            continue
        seen.add(id(one))
        for name in dir(one):
            if name.startswith("_"):
                continue
            looked += 1
            found = getattr(one, name)
            assert not isinstance(found, Path), f"{way}.{name}"
            waiting.append((f"{way}.{name}", found, depth + 1))
    assert looked > 50


def test_a_handle_leads_to_nothing_but_its_questions(open_store: Opener) -> None:
    handle = open_store()._door.handle("acme", ledger.SessionRow)
    assert {name for name in dir(handle) if not name.startswith("_")} == {"find", "get", "lacks", "page"}
    with pytest.raises(AttributeError):
        handle.connection = 1  # type: ignore[attr-defined]


def test_no_other_room_imports_what_leads_to_raw_rows() -> None:
    wrong = []
    for room in ("engine", "actors", "plugins"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    wrong += [f"{path}: {one.name}" for one in node.names if one.name in INTERNAL]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names = {one.name for one in node.names}
                    if node.module in INTERNAL or names - LENT.get(node.module, names):
                        wrong.append(f"{path}: {node.module} {sorted(names)}")
    assert wrong == []


def test_every_module_of_storage_can_be_imported_and_says_what_it_is() -> None:
    names = [one.name for one in pkgutil.walk_packages(ruche.storage.__path__, "ruche.storage.")]
    assert len(names) > 70
    for name in names:
        assert importlib.import_module(name).__doc__, name


# --- other tenants ---------------------------------------------------------------------------------------------------


def test_every_method_of_a_tenants_view_answers_another_tenants_ids_like_unknown_ones(open_store: Opener) -> None:
    """Security items 4 and 5: whatever is asked, by whatever method, with the ids that exist elsewhere."""
    store = open_store()
    filled(store)
    store.append([EpisodeKept(tenant="acme", at_ms=NOW_MS, kind="episode", id="e1", interlocutor="ada", body=b"{}"),
                  IdentityLinked(tenant="acme", at_ms=NOW_MS, interlocutor="ada", identity="e1", linked=True, by="o")])
    assert store.tenant("acme").names_of("e1") == ("ada", "e1")
    ids = {"key": session_key(), "session_id": "s1", "interlocutor": "ada", "run_id": "s1-t00000", "turn_id": "t9",
           "idempotency_key": "k1", "agent_id": "desk", "kind": "episode", "id": "e1"}
    asked = 0
    for _ in range(2):
        for name, method in inspect.getmembers(TenantStore, inspect.isfunction):
            if name.startswith("_"):
                continue
            needed = [one for one in inspect.signature(method).parameters.values() if one.name != "self"
                      and one.default is inspect.Parameter.empty]
            values = [ids.get(one.name, "e1" if one.name != "key" else "effect-1") for one in needed]
            if name == "effect":
                values = ["effect-1"]
            elsewhere = [_answer(store.tenant("other"), name, values), _answer(store.tenant("nobody"), name, values)]
            unknown = _answer(store.tenant("other"), name, [_unknown(one) for one in values])
            assert elsewhere[0] == elsewhere[1], name
            assert _empty(elsewhere[0], values) == _empty(unknown, ["never-was"]), name
            assert not _mentions(elsewhere[0], "hello", "Bern", "First part."), name
            asked += 1
        store.apply()
    assert asked >= 40
    assert [one for one in everything(store.tenant("acme")) if one not in (None, [])]


def _answer(view: TenantStore, name: str, values: list[Any]) -> Any:
    try:
        found = getattr(view, name)(*values)
    except RucheError as error:
        return type(error).__name__
    return list(found) if isinstance(found, collections.abc.Iterator) else found


def _unknown(value: Any) -> Any:
    return msgspec.structs.replace(value, interlocutor="x9") if not isinstance(value, str) else "never-was"


def _empty(answer: Any, asked: list[Any]) -> bool | str:
    """Whether nothing is in an answer but what was asked with; of an error its name."""
    if isinstance(answer, str) or not isinstance(answer, tuple):
        return answer if isinstance(answer, str) else not answer
    return not any(one for one in answer if one not in asked)


def _mentions(answer: Any, *words: str) -> bool:
    return any(word in repr(answer) for word in words)


@pytest.mark.parametrize("moved", ["tenant", "person", "row", "column", "table", "schema"])
def test_a_blob_moved_from_where_it_was_sealed_does_not_open(open_store: Opener, moved: str) -> None:
    """Security item 5: the place of a blob is part of what is authenticated."""
    store, chest = open_store(), None
    store.append([Conversation().turn()])
    chest = vault.Vault(store._keyring)
    place = vault.Place(tenant="acme", person="ada", table="sessions", row="s1", column="state", schema=1)
    blob = chest.seal(b"words", place)
    assert chest.open_sealed(blob, place) == b"words"
    elsewhere = {"tenant": "other", "person": "bob", "row": "s2", "column": "body", "table": "runs", "schema": 2}
    with pytest.raises(IntegrityError):
        chest.open_sealed(blob, msgspec.structs.replace(place, **{moved: elsewhere[moved]}))
