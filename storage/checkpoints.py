"""Signed checkpoints of audit logs, as C2SP tlog-checkpoint and signed-note describe them, and the keys that sign.

A checkpoint is text: origin, number of leaves, root hash, time, an empty line, and Ed25519 signatures. Anybody who has
the public key can check one; who holds one notices when the log is rewritten or cut.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ruche.storage.errors import IntegrityError

NAME: Final = "ruche"
"""The key's name in signature lines."""
_ED25519: Final = b"\x01"
_TIME: Final = "time "


class Checkpoint(NamedTuple):
    """A log at one moment: `origin` names it, `root` is the hash over its first `size` leaves, `at_ms` when it was so.
    """

    origin: str
    size: int
    root: bytes
    at_ms: int

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{_TIME}{self.at_ms}\n"


class PublicKey(NamedTuple):
    """A key that checkpoints are checked with."""

    raw: bytes
    name: str = NAME

    @property
    def id(self) -> bytes:
        """4 bytes that tell which key made a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    def text(self) -> str:
        """name+id+key, as verifiers of signed notes read it."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises IntegrityError for what is no key."""
        name, _, rest = text.strip().partition("+")
        identifier, _, coded = rest.partition("+")
        raw = _decoded(coded)
        key = cls(raw[1:], name)
        if len(raw) != 33 or raw[:1] != _ED25519 or key.id.hex() != identifier:
            raise IntegrityError("this is not a public key as `ruche` shows it: name+id+base64")
        return key

    def signed(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """Signs with the Ed25519 key of a seed (32 bytes)."""

    def __init__(self, seed: bytes, name: str = NAME) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), name)

    def note(self, text: str) -> str:
        """The text with its signature line."""
        signature = base64.b64encode(self.public.id + self._key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.public.name} {signature}\n"


class Note(NamedTuple):
    """A signed note, taken apart; `signatures` are (name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def signed_by(self, key: PublicKey) -> bool:
        return any(name == key.name and which == key.id and key.signed(self.text, signature)
                   for name, which, signature in self.signatures)


def read_note(note: str) -> Note:
    """Raises IntegrityError for what is no signed note."""
    text, empty, lines = note.partition("\n\n")
    found = []
    for line in lines.splitlines():
        dash, _, rest = line.partition(" ")
        name, _, coded = rest.partition(" ")
        raw = _decoded(coded)
        if dash != "\u2014" or not name or len(raw) < 5:
            raise IntegrityError("this is not a signed note: a signature line cannot be read")
        found.append((name, raw[:4], raw[4:]))
    if not empty or not found:
        raise IntegrityError("this is not a signed note: it has no signature")
    return Note(text + "\n", tuple(found))


def read_checkpoint(text: str) -> Checkpoint:
    """The inverse of `Checkpoint.text`. Raises IntegrityError."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or not _number(lines[1]):
        raise IntegrityError("this is not a checkpoint: it needs an origin, a size and a root hash")
    root = _decoded(lines[2])
    times = [line.removeprefix(_TIME) for line in lines[3:-1] if line.startswith(_TIME)]
    if len(root) != 32 or not lines[0] or len(times) > 1 or not all(map(_number, times)):
        raise IntegrityError("this is not a checkpoint: its root hash or its time cannot be read")
    return Checkpoint(lines[0], int(lines[1]), root, int(times[0]) if times else 0)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19 and (text == "0" or text[0] != "0")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
