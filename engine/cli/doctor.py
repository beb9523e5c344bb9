"""`ruche doctor`: whether this machine has what the engine needs, and what to do where it has not."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.config import Settings

_LIBRARIES = ("aiohttp", "anyio", "click", "cryptography", "duckdb", "jinja2", "jsonschema", "msgspec", "numpy",
              "phonenumbers", "prometheus-client", "pydantic", "pyjwt", "pykka", "pyyaml", "rich", "simpleeval",
              "structlog", "tokenizers")
_SIGNS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}
_ENOUGH_BYTES = 500_000_000
_DEAD_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fail` means that the engine cannot work so."""

    name: str
    state: Literal["ok", "warn", "fail"]
    message: str


@ruche_command("doctor", example="ruche doctor --data data")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(data: Path | None, config: Path | None, as_json: bool) -> int:
    """Look at Python, libraries, models, the data directory, the disk and the clock. Ends with 1 when one fails."""
    from ruche.engine.config import read_settings

    findings = list(examine(read_settings(config, data=data)))
    if as_json:
        click.echo(json.dumps({"findings": [asdict(one) for one in findings]}))
    else:
        for one in findings:
            sign, colour = _SIGNS[one.state]
            click.echo(f"{click.style(sign, fg=colour)}  {one.name:<14} {one.message}")
    return int(any(one.state == "fail" for one in findings))


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything that is looked at, in order. A look that fails is a finding, never an exception."""
    looks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("python", _python), ("libraries", _libraries), ("http parser", _parser), ("onnxruntime", _onnxruntime),
        ("embedder", _embedder), ("reranker", _reranker), ("hnswlib", _hnswlib),
        ("plugins", _plugins), ("event loop", _loop), ("data directory", _data),
        ("dead letters", _dead_letters), ("disk", _disk), ("clock", _clock))
    for name, look in looks:
        try:
            yield look(settings)
        except Exception as error:
            yield Finding(name, "fail", f"{type(error).__name__}: {error}")


def _python(_: Settings) -> Finding:
    state: Literal["ok", "fail"] = "ok" if sys.version_info >= (3, 11) else "fail"
    return Finding("python", state, f"{platform.python_version()} on {platform.system()} {platform.machine()}"
                   + ("" if state == "ok" else "; Python 3.11 or later is needed"))


def _libraries(_: Settings) -> Finding:
    missing = [name for name in _LIBRARIES if _version(name) is None]
    if missing:
        return Finding("libraries", "fail", f"missing: {', '.join(missing)}; run scripts/setup")
    return Finding("libraries", "ok", ", ".join(f"{name} {_version(name)}" for name in ("aiohttp", "duckdb", "pykka")))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _parser(_: Settings) -> Finding:
    from ruche.engine.server.wire import require_c_parser

    require_c_parser()
    return Finding("http parser", "ok", "aiohttp's C parser")


def _onnxruntime(_: Settings) -> Finding:
    found = {name: _version(name) for name in ("onnxruntime", "onnxruntime-gpu")}
    there = [f"{name} {number}" for name, number in found.items() if number]
    if not there:
        return Finding("onnxruntime", "fail", "not installed; run scripts/setup")
    if len(there) > 1:
        return Finding("onnxruntime", "warn", f"{' and '.join(there)} are both installed and overwrite each other's "
                       "files; uninstall both, then install one")
    return Finding("onnxruntime", "ok", there[0])


def _embedder(settings: Settings) -> Finding:
    from ruche.plugins.embedders import open_embedder

    embedder, notice = open_embedder(settings.models)
    begun = time.perf_counter()
    embedder.encode(["ready"])
    spent = 1000 * (time.perf_counter() - begun)
    where = getattr(embedder, "provider", "no model")
    return Finding("embedder", "warn" if notice else "ok",
                   f"{embedder.name} ({where}, {spent:.1f} ms a sentence)" + (f"; {notice}" if notice else ""))


def _reranker(settings: Settings) -> Finding:
    """Where it really runs: a session that asks for a GPU falls back to the CPU without an error."""
    from ruche.plugins.embedders import open_embedder
    from ruche.plugins.rerankers import open_reranker

    if not settings.models.rerank_enabled:
        return Finding("reranker", "ok", "switched off")
    reranker = open_reranker(settings.models, open_embedder(settings.models)[0])
    begun = time.perf_counter()
    reranker.score("a question", ["an answer"] * 24)
    spent = 1000 * (time.perf_counter() - begun)
    where = getattr(reranker, "provider", "")
    asked = settings.models.device == "cuda" and bool(where) and not where.startswith("CUDA")
    return Finding("reranker", "warn" if asked else "ok",
                   f"{reranker.name} ({where or 'no model of its own'}, {spent:.1f} ms for 24 short passages)"
                   + ("; a GPU is set and none is used" if asked else ""))


def _hnswlib(_: Settings) -> Finding:
    if importlib.util.find_spec("hnswlib") is None:
        return Finding("hnswlib", "ok", "not installed: exact search serves, which is quick up to about 25,000 texts "
                       "of an agent; pip install 'ruche-engine[ann]' needs a C++ compiler")
    return Finding("hnswlib", "ok", f"{_version('hnswlib')}, for agents that know 25,000 texts or more")


def _plugins(_: Settings) -> Finding:
    """Every one is imported; one that cannot be costs the agents that name it, and nobody else."""
    from ruche.plugins.installed import examined

    found, faults = examined()
    return Finding("plugins", "warn" if faults else "ok", "; ".join(faults) or ", ".join(found) or "none installed")


def _loop(_: Settings) -> Finding:
    there = importlib.util.find_spec("uvloop") is not None
    return Finding("event loop", "ok", f"uvloop {_version('uvloop')}" if there else "asyncio (uvloop is not installed)")


def _data(settings: Settings) -> Finding:
    from ruche.plugins.errors import DataLocked
    from ruche.storage.platform import DirectoryLock, check_tree

    data = settings.data
    if not data.exists():
        return Finding("data directory", "ok", f"{data} is not there yet; ruche serve makes it")
    check_tree(data)
    lock = data / "lock"
    if lock.exists():
        try:
            DirectoryLock(lock).release()
        except DataLocked as error:
            return Finding("data directory", "ok", f"{data} is in use by process {error.details.get('pid')}")
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    return Finding("data directory", "ok", f"{data}, {size / 1e6:.1f} MB, not in use")


def _dead_letters(settings: Settings) -> Finding:
    from anyio import run

    from ruche.engine.host import open_store
    from ruche.plugins.errors import DataLocked

    if not (settings.data / "journal").exists():
        return Finding("dead letters", "ok", "none")
    try:
        store = run(open_store, settings)
    except DataLocked:
        return Finding("dead letters", "ok", "ask the process that has the data: GET /v1/admin/actors")
    try:
        letters = store.dead_letters(_DEAD_SHOWN)
    finally:
        store.close()
    if not letters:
        return Finding("dead letters", "ok", "none")
    shown = "; ".join(f"{one.message.id} to {one.key.agent} of {one.key.tenant}: {one.reason} (tried {one.attempts} "
                      f"times)" for one in letters)
    return Finding("dead letters", "warn", f"could not be answered, newest first: {shown}")


def _disk(settings: Settings) -> Finding:
    place = settings.data.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Finding("disk", "fail", f"{place} cannot be written to")
    return Finding("disk", "ok" if free > _ENOUGH_BYTES else "warn", f"{free / 1e9:.1f} GB free")


def _clock(_: Settings) -> Finding:
    first, second = time.time(), time.time()
    installed = Path(__file__).stat().st_mtime
    if second < first or first < installed - 86_400:
        return Finding("clock", "fail", "the system clock is behind the engine's own files; set it before serving")
    return Finding("clock", "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first)))
