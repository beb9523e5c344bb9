"""From a checked bundle to the record that publishes it: the same content has the same bytes and the same hash."""

from __future__ import annotations

import hashlib

from pydantic import ValidationError

from ruche.storage.model.bundle import AgentBundle, canonical_bundle
from ruche.storage.model.record import AgentPublished


def bundle_hash(bundle: AgentBundle) -> str:
    """SHA-256 of the bundle's canonical bytes, hexadecimal: the configuration's name in every run."""
    return hashlib.sha256(canonical_bundle(bundle)).hexdigest()


def next_version(bundle: AgentBundle, latest: AgentPublished | None, at_ms: int) -> AgentPublished | None:
    """The record of the next version, None when `latest` has this very content: then there is nothing to publish.

    `at_ms` is the time of publishing, in milliseconds since 1970 UTC.
    """
    body = canonical_bundle(bundle)
    digest = hashlib.sha256(body).hexdigest()
    if latest is not None and not latest.retired and (latest.hash == digest or _content(latest) == body):
        return None
    version = 1 if latest is None else latest.version + 1
    return AgentPublished(tenant=bundle.tenant, at_ms=at_ms, agent=bundle.id, version=version, hash=digest, bundle=body)


def _content(published: AgentPublished) -> bytes:
    """What a version holds, as it would be written now: an earlier engine spelled out every default."""
    try:
        return canonical_bundle(AgentBundle.model_validate_json(published.bundle))
    except ValidationError:
        return published.bundle
