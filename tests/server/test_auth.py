"""Tokens: what proves who somebody is, and everything that does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.server.auth import Identity, Verifier
from ruche.engine.server.mint import mint
from ruche.plugins.errors import Forbidden, TenantMismatch, Unauthenticated

KEY = bytes(range(32))
SIGNER = Ed25519PrivateKey.generate()


def good(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"iss": "ruche", "aud": "ruche", "sub": "ada", "tenant_id": "acme", "roles": ["interlocutor"],
              "iat": now, "nbf": now, "exp": now + 600, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={"typ": "at+jwt", **header})


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes = KEY) -> str:
    """A token that no library would make: header and claims as they are, HMAC over them."""
    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    body = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.new(key, body, hashlib.sha256).digest())).decode()


def forged() -> dict[str, str]:
    """Twenty-six tokens that prove nothing."""
    rsa = generate_private_key(65537, 2048)
    public = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raw = SIGNER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    whole = signed(good())
    head, body, signature = whole.split(".")
    other = signed(good(tenant_id="rival")).split(".")[1]
    return {
        "empty": "", "not a token": "abc", "two parts": f"{head}.{body}", "no signature": f"{head}.{body}.",
        "algorithm none": by_hand({"alg": "none", "typ": "at+jwt"}, good()).rsplit(".", 1)[0] + ".",
        "algorithm None in capitals": by_hand({"alg": "NONE", "typ": "at+jwt"}, good()),
        "no algorithm": by_hand({"typ": "at+jwt"}, good()),
        "algorithm is a list": by_hand({"alg": ["HS256"], "typ": "at+jwt"}, good()),
        "another key": signed(good(), b"x" * 32), "another algorithm of the family": signed(good(), algorithm="HS384",
                                                                                           key=KEY * 2),
        "public key used as secret, PEM": by_hand({"alg": "HS256", "typ": "at+jwt"}, good(), public),
        "public key used as secret, raw": by_hand({"alg": "HS256", "typ": "at+jwt"}, good(), raw),
        "RSA": signed(good(), rsa, "RS256"), "EdDSA of somebody else": signed(good(), Ed25519PrivateKey.generate(),
                                                                             "EdDSA"),
        "claims exchanged": f"{head}.{other}.{signature}", "signature cut": whole[:-4],
        "crit": by_hand({"alg": "HS256", "typ": "at+jwt", "crit": ["x"], "x": 1}, good()),
        "jku": signed(good(), jku="https://evil.example/keys"), "x5u": signed(good(), x5u="https://evil.example/c"),
        "jwk": signed(good(), jwk={"kty": "oct", "k": "AAAA"}), "type of an id token": by_hand(
            {"alg": "HS256", "typ": "JWT"}, good()),
        "no type": by_hand({"alg": "HS256"}, good()), "far too long": signed(good(junk="x" * 9000)),
        "surrogates": whole[:-1] + "\udcff", "NUL": whole + "\x00", "spaces": whole.replace(".", " . "),
    }


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(time.time()) - 60}, "no expiry": {"exp": None}, "expiry is text": {"exp": "9999999999"},
    "expiry is true": {"exp": True}, "not yet valid": {"nbf": int(time.time()) + 300}, "no subject": {"sub": None},
    "empty subject": {"sub": ""}, "subject is a number": {"sub": 7}, "line break in subject": {"sub": "a\nb"},
    "no tenant": {"tenant_id": None}, "tenant is a path": {"tenant_id": "../acme"}, "tenant is a list":
    {"tenant_id": ["acme"]}, "no roles": {"roles": None}, "roles are text": {"roles": "admin"}, "another issuer":
    {"iss": "ruche.example"}, "issuer is a part": {"iss": "ruch"}, "issuers": {"iss": ["ruche"]}, "another audience":
    {"aud": "somebody"}, "audiences": {"aud": ["ruche", "somebody"]}, "no audience": {"aud": None}, "agents are text":
    {"agents": "frontdesk"}, "interlocutor is a number": {"interlocutor_id": 1},
}


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(KEY, SIGNER.public_key(), "issuer.example")


@pytest.mark.parametrize("name", forged())
def test_a_forged_token_proves_nothing(verifier: Verifier, name: str) -> None:
    """Security item 1: none, confusion of families, crit, jku, jwk and x5u are refused."""
    with pytest.raises(Unauthenticated):
        verifier.verify(forged()[name])


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_a_signed_token_with_a_wrong_claim_proves_nothing(verifier: Verifier, name: str) -> None:
    """Security item 2: exp, iss, aud, type and subject are required and exact."""
    with pytest.raises(Unauthenticated):
        verifier.verify(by_hand({"alg": "HS256", "typ": "at+jwt"}, good(**BAD_CLAIMS[name])))


def test_the_refusal_says_the_same_whatever_was_wrong(verifier: Verifier) -> None:
    said = set()
    for token in ("", signed(good(), b"x" * 32), signed(good(exp=1)), signed(good(aud="x"))):
        with pytest.raises(Unauthenticated) as refused:
            verifier.verify(token)
        said.add((refused.value.message, str(refused.value.details)))
    assert len(said) == 1


def test_a_minted_token_proves_tenant_person_and_roles(verifier: Verifier) -> None:
    found = verifier.verify(mint(KEY, tenant="acme", roles=["operator", "astronaut"], subject="ada"))
    assert (found.tenant, found.subject, found.interlocutor, found.roles) == ("acme", "ada", "ada", {"operator"})


def test_an_external_signer_is_believed_only_with_its_own_issuer_and_key(verifier: Verifier) -> None:
    assert verifier.verify(signed(good(iss="issuer.example"), SIGNER, "EdDSA")).subject == "ada"
    for token in (signed(good(), SIGNER, "EdDSA"), signed(good(iss="issuer.example"))):
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
    with pytest.raises(Unauthenticated):
        Verifier(KEY).verify(signed(good(iss="issuer.example"), SIGNER, "EdDSA"))


def test_ten_seconds_of_clock_skew_are_forgiven_and_a_minute_is_not(verifier: Verifier) -> None:
    """Security item 2: skew of at most 30 s."""
    assert verifier.verify(signed(good(exp=int(time.time()) - 3))).subject == "ada"
    with pytest.raises(Unauthenticated):
        verifier.verify(signed(good(exp=int(time.time()) - 30)))


def test_a_remembered_token_is_forgotten_when_it_expires(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed(good(exp=int(time.time()) + 5))
    verifier.verify(token)
    later = time.time() + 30
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@given(st.text(max_size=400))
def test_no_text_whatsoever_is_a_token_or_breaks_the_verifier(text: str) -> None:
    with pytest.raises(Unauthenticated):
        Verifier(KEY).verify(text)


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_makes_a_token_worthless(place: int, change: int) -> None:
    raw = bytearray(TOKEN.encode())
    raw[place % len(raw)] ^= change
    text = raw.decode("utf-8", "surrogateescape")
    try:
        found = Verifier(KEY).verify(text)
    except Unauthenticated:
        return
    assert found == Verifier(KEY).verify(TOKEN), "only spare bits of the last base64 digit may change unnoticed"


TOKEN = mint(KEY, tenant="acme", roles=["interlocutor"], subject="ada")


def somebody(*roles: str) -> Identity:
    return Identity(tenant="acme", subject="ada", interlocutor="ada", roles=frozenset(roles), expires=0.0)


def test_the_body_may_repeat_what_the_token_says_and_nothing_else() -> None:
    """Security item 3: tenant and subject come from the token alone."""
    assert somebody("interlocutor").speaks_as("acme", "ada") == "ada"
    assert somebody("interlocutor").speaks_as(None, None) == "ada"
    with pytest.raises(TenantMismatch):
        somebody("channel").speaks_as("rival", None)
    for role in ("interlocutor", "agent_author", "operator", "auditor", "admin"):
        with pytest.raises(Forbidden):
            somebody(role).speaks_as(None, "bob")
    assert somebody("channel").speaks_as("acme", "bob") == "bob"
