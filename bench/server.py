"""`ruche serve` in a process of its own, started as a user starts it, with what /proc tells about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruche.engine.config import read_settings
from ruche.engine.server.mint import mint, signing_key

STOP_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A started server: its address, a token for scripts of the tenant `default`, and the key of further tokens."""

    url: str
    token: str
    pid: int
    key: bytes

    def token_for(self, tenant: str, *roles: str, subject: str = "bench") -> str:
        return mint(self.key, tenant=tenant, roles=roles, subject=subject)

    def rss_mib(self) -> float:
        """Resident memory now; 0 where the system does not tell."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return 0.0
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far; 0 where the system does not tell."""
        try:
            after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path, agents: Path, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[Server]:
    """A server over `folder`/data with these settings while the context lasts; its log goes to `folder`/server.log."""
    config, data = folder / "ruche.toml", folder / "data"
    config.write_text(_toml(settings), encoding="utf-8")
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ruche.engine.cli.main", "serve", "--json", "--port", "0", "--data", str(data),
             "--agents", str(agents), "--config", str(config)], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit(f"the server ended with {process.wait()}: {(folder / 'server.log').read_text()}")
            ready = json.loads(line)
            yield Server(ready["url"], ready["token"], process.pid,
                         signing_key(read_settings(config, environment={}, data=data)))
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _toml(settings: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for section, values in settings.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"
