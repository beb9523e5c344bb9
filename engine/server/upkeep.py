"""Backup and retention of the whole data directory, asked for instead of waited for."""

from __future__ import annotations

from aiohttp import web

from ruche.engine.server.answers import Shown, answer
from ruche.engine.server.context import ENGINE
from ruche.engine.server.once import answered_once
from ruche.engine.server.requests import query
from ruche.engine.server.routes import ADMINISTER, Route


class BackupShown(Shown, kw_only=True):
    """What was shipped. The backup goes up to journal frame `sequence`."""

    files: int
    bytes: int
    seconds: float
    sequence: int


class RetentionShown(Shown, kw_only=True):
    """Days that each kind of record is kept; what is not named is kept for ever."""

    days: dict[str, int]


class SweptShown(Shown, kw_only=True):
    """What was let go: days of runs, days that a legal hold kept, rows by kind."""

    days: list[str]
    held: list[str]
    rows: dict[str, int]


async def ship_backup(request: web.Request) -> web.Response:
    """Brings the backup folder of the settings up to now; 409 where none is set."""
    query(request)
    done = await request.app[ENGINE].back_up()
    return answer(BackupShown(files=done.files, bytes=done.bytes, seconds=done.seconds, sequence=done.sequence))


async def show_retention(request: web.Request) -> web.Response:
    query(request)
    return answer(RetentionShown(days=request.app[ENGINE].retention()))


async def let_go(request: web.Request) -> web.Response:
    """What is older than the settings and the agents' fields allow goes now."""
    query(request)
    done = await request.app[ENGINE].let_go()
    return answer(SweptShown(days=list(done.days), held=list(done.held), rows=done.rows))


ROUTES = answered_once((
    Route("POST", "/v1/admin/backup", ship_backup, "Bring the backup up to now", ADMINISTER, answer=BackupShown),
    Route("GET", "/v1/admin/retention", show_retention, "How long what is kept", ADMINISTER, answer=RetentionShown),
    Route("POST", "/v1/admin/retention", let_go, "Let go of what is too old now", ADMINISTER, answer=SweptShown),
))
