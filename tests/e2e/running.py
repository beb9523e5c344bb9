"""A server as a user starts it: another process, a real port, a real data directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Server:
    """A running `ruche serve`; `token` is the one it prints for scripts."""

    def __init__(self, data: Path, *options: str, agents: Path | None = None, cwd: Path | None = None,
                 environment: Mapping[str, str] | None = None, python: str = sys.executable) -> None:
        command = [python, "-m", "ruche.engine.cli.main", "serve", "--json", "--port", "0", "--data", str(data)]
        command += options
        if agents is not None:
            command += ["--agents", str(agents)]
        self.log = data.parent / f"{data.name}.log"
        self._errors = self.log.open("ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors, cwd=cwd, text=True,
                                        env={**os.environ, **(environment or {})})
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = json.loads(line) if line else {}
        if "url" not in ready:
            status = self._end()
            raise RuntimeError(f"the server ended with {status}: {line} {self.log.read_text()[-2000:]}")
        self.url: str = ready["url"].rstrip("/")
        self.token: str = ready["token"]

    def request(self, method: str, path: str, body: Any = None, token: str | None = None,
                headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of one request."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers={
            "Authorization": f"Bearer {self.token if token is None else token}", "Content-Type": "application/json",
            **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def chat(self, message: str, user: str = "visitor", agent: str = "kiosk", **more: Any) -> dict[str, Any]:
        status, _, body = self.request("POST", "/v1/chat", {"agent_id": agent, "message": message, "channel": "api",
                                                            "channel_user_id": user, **more})
        answer: dict[str, Any] = json.loads(body)
        if status != 200:
            raise AssertionError(f"{status}: {answer}")
        return answer

    def get(self, path: str) -> Any:
        status, _, body = self.request("GET", path)
        if status != 200:
            raise AssertionError(f"{status}: {body!r}")
        return json.loads(body)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def _end(self) -> int:
        status = self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()
        return status


@contextmanager
def serving(data: Path, *options: str, **more: Any) -> Iterator[Server]:
    server = Server(data, *options, **more)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
