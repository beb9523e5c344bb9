"""serve, token, chat and doctor as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ruche.engine.config import ServerSettings
from ruche.engine.server.exposure import check_exposure
from ruche.plugins.errors import ConfigurationError

RUCHE = [sys.executable, "-m", "ruche.engine.cli.main"]
PLAIN = {**{name: value for name, value in os.environ.items() if not name.startswith("RUCHE_")},
         "RUCHE_MODELS__EMBEDDER": "hashing"}


def ruche(*words: str | Path, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUCHE, *map(str, words)], cwd=cwd, input=given, capture_output=True, text=True, timeout=60,
                          env=PLAIN)


@contextmanager
def serving(cwd: Path, *words: str | Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with (cwd / "server.log").open("w") as log:
        process = subprocess.Popen([*RUCHE, "serve", "--json", "--port", "0", *map(str, words)], cwd=cwd, text=True,
                                   stdout=subprocess.PIPE, stderr=log, env=PLAIN)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (cwd / "server.log").read_text()
            yield process, json.loads(line)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()


def get(url: str, token: str, context: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_start_without_options_serves_the_samples_and_stops_cleanly(tmp_path: Path) -> None:
    """One line with url, console and token; a second process on the directory ends with 4; SIGTERM ends with 0."""
    with serving(tmp_path) as (process, ready):
        assert ready["url"].startswith("http://127.0.0.1:")
        assert ready["console"].startswith(ready["url"] + "/#")
        status, agents = get(f"{ready['url']}/v1/agents", ready["token"])
        assert (status, {one["id"] for one in agents["items"]}) == (200, {"frontdesk", "kiosk"})
        second = ruche("serve", "--port", "0", cwd=tmp_path)
        assert second.returncode == 4
        assert "in use" in second.stderr
        assert ruche("chat", "kiosk", cwd=tmp_path, given="hello\n").returncode == 4
        with _open_stream(ready) as answer:
            assert b"event: turn.accepted\n" in (answer.readline(), answer.readline())
            process.send_signal(signal.SIGTERM)
            assert process.wait(8) == 0, "an open stream does not hold the process"
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def _open_stream(ready: dict[str, Any]) -> Any:
    """The events of a session in which something was said: they stay open."""
    said = urllib.request.Request(f"{ready['url']}/v1/chat", method="POST", headers={
        "Authorization": f"Bearer {ready['token']}", "Content-Type": "application/json"}, data=json.dumps(
        {"agent_id": "kiosk", "message": "When do you open?", "channel": "api", "channel_user_id": "bob"}).encode())
    with urllib.request.urlopen(said, timeout=10) as answer:
        session = json.load(answer)["session_id"]
    return urllib.request.urlopen(urllib.request.Request(
        f"{ready['url']}/v1/sessions/{session}/events?after=0",
        headers={"Authorization": f"Bearer {ready['token']}"}), timeout=10)


def test_a_token_made_beside_a_running_server_opens_what_its_role_may(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, ready):
        made = ruche("token", "--role", "auditor", "--sub", "eve", "--json", cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        token = json.loads(made.stdout)["token"]
        assert get(f"{ready['url']}/v1/runs", token)[0] == 200
        assert get(f"{ready['url']}/v1/agents", token)[0] == 403
        other = ruche("token", "--role", "auditor", "--tenant", "rival", cwd=tmp_path).stdout.strip()
        assert get(f"{ready['url']}/v1/identity", other)[1]["tenant_id"] == "rival"
        talk = ruche("chat", "kiosk", "--url", ready["url"], "--token", ready["token"], "--why", cwd=tmp_path,
                     given="When do you open?\n/quit\n")
        assert talk.returncode == 0, talk.stderr
        assert "Tuesday to Sunday" in talk.stdout
        assert "opening_hours" in talk.stderr


@pytest.mark.parametrize("words", [["--role", "king"], ["--role", "admin", "--tenant", "../x"],
                                   ["--role", "admin", "--hours", "0"], []])
def test_a_token_that_no_server_would_take_is_not_made(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "data").mkdir()
    done = ruche("token", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""


def test_a_token_for_a_directory_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert ruche("token", "--role", "admin", "--data", "typo", cwd=tmp_path).returncode == 3
    assert not (tmp_path / "typo").exists()


def test_a_broken_agent_folder_stops_the_start_and_says_where(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "shop"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Shop\n")
    (folder / "rules.yaml").write_text("- id: a\n  if: somebody asks\n  then: answer\n  colour: red\n")
    done = ruche("serve", "--port", "0", "--agents", "agents", cwd=tmp_path)
    assert done.returncode == 2
    assert "shop/rules.yaml:4" in done.stderr
    assert done.stdout == ""
    assert ruche("serve", "--port", "0", "--agents", "nothing", cwd=tmp_path).returncode == 2


def test_an_address_that_others_reach_needs_tls_or_a_proxy(tmp_path: Path) -> None:
    """Security item 18."""
    done = ruche("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "--tls-cert" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost.example.com", "127.0.0.1.nip.io"])
def test_no_address_but_loopback_is_open_by_default(host: str) -> None:
    """Security item 18."""
    with pytest.raises(ConfigurationError):
        check_exposure(ServerSettings(host=host))
    with pytest.raises(ConfigurationError):
        check_exposure(ServerSettings(host=host, tls_cert=Path("c.pem")))
    check_exposure(ServerSettings(host=host, behind_proxy=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.7"])
def test_loopback_needs_nothing(host: str) -> None:
    check_exposure(ServerSettings(host=host))


def test_with_a_certificate_of_our_own_everything_goes_over_tls(tmp_path: Path) -> None:
    """Security item 13: HSTS where TLS is ours."""
    import ssl

    cert, key = _certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", cert, "--tls-key", key) as (_, ready):
        assert ready["url"].startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(cert))
        with urllib.request.urlopen(f"{ready['url']}/healthz", timeout=10, context=context) as answer:
            assert answer.headers["Strict-Transport-Security"]
        old = ssl.create_default_context(cafile=str(cert))
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        port = int(ready["url"].rsplit(":", 1)[1])
        with (pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", port)) as wire,
              old.wrap_socket(wire, server_hostname="127.0.0.1")):
            pass


def _certificate(place: Path) -> tuple[Path, Path]:
    import datetime
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                                  critical=False)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                   .sign(key, hashes.SHA256()))
    (place / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (place / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return place / "cert.pem", place / "key.pem"


def test_a_taken_port_is_named_and_ends_with_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ruche("serve", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 4
    assert str(port) in done.stderr
    assert list(tmp_path.iterdir()) == [], "a start that is refused leaves nothing behind"


def test_a_certificate_that_cannot_be_used_leaves_nothing_behind(tmp_path: Path) -> None:
    done = ruche("serve", "--port", "0", "--tls-cert", "none.pem", "--tls-key", "none.pem", cwd=tmp_path)
    assert done.returncode == 2
    assert "TLS certificate" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_watched_folder_is_published_again_when_it_changes_and_a_fault_in_it_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "shop"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Shop\n")

    def published(ready: dict[str, Any]) -> tuple[str, int]:
        found = get(f"{ready['url']}/v1/agents/shop", ready["token"])[1]
        return found["agent"]["name"], found["version"]

    with serving(tmp_path, "--agents", "agents", "--watch") as (_, ready):
        assert published(ready) == ("Shop", 1)
        (folder / "agent.yaml").write_text("name: Shop\ncolour: red\n")
        _until(lambda: "agent.yaml:2" in (tmp_path / "server.log").read_text())
        assert published(ready) == ("Shop", 1)
        (folder / "agent.yaml").write_text("name: Better shop\n")
        _until(lambda: published(ready) == ("Better shop", 2))


def _until(holds: Any, seconds: float = 15.0) -> None:
    """Ask again and again what another process has done; there is nothing to wait on."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_a_terminal_conversation_needs_no_server_and_goes_on_the_next_time(tmp_path: Path) -> None:
    first = ruche("chat", "kiosk", cwd=tmp_path, given="When do you open?\n\n/why\nWhere is the toilet?\n")
    assert first.returncode == 0, first.stderr
    assert "Tuesday to Sunday" in first.stdout
    assert "toilets" in first.stderr
    assert ruche("chat", "nobody", cwd=tmp_path, given="x\n").returncode == 3


def test_the_doctor_looks_at_everything_and_ends_well_on_this_machine(tmp_path: Path) -> None:
    done = ruche("doctor", "--json", cwd=tmp_path)
    findings = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert {"python", "libraries", "http parser", "onnxruntime", "embedder", "hnswlib", "data directory", "disk",
            "clock"} <= set(findings)
    assert done.returncode == 0, findings
    assert "hash" in findings["embedder"]["message"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["serve", "chat", "token", "doctor"])
def test_help_begins_with_an_example_and_imports_nothing_heavy(tmp_path: Path, name: str) -> None:
    code = ("import sys\nfrom ruche.engine.cli.main import main\ntry:\n    main([" + repr(name) + ", '--help'])\n"
            "except SystemExit:\n    pass\nheavy = {'aiohttp', 'duckdb', 'onnxruntime', 'numpy', 'pydantic', 'jwt'}\n"
            "print(sorted(heavy & set(sys.modules)), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert done.stdout.startswith("Example")
    assert f"ruche {name}" in done.stdout.splitlines()[1]
    assert done.stderr.strip().endswith("[]")
