"""Receipts: the signed proof of who handed in what and when. Anybody with the public key can check one."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from grader.keys import open_key

_MARK = "ICT1"  # version of the form; a new form gets a new mark, old receipts stay valid
_MAX_CHARS = 4096


class ReceiptRefused(ValueError):
    """A receipt that this site did not give; the message says what is wrong with it."""


class Receipts:
    """Signs and checks receipts with the site's Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Use `key`; see `open` for the site's own."""
        self._key = key

    @classmethod
    def open(cls, folder: Path) -> Receipts:
        """Read `folder`/receipt_key, or make it (0600) once, whoever comes first."""
        path = folder / "receipt_key"
        try:
            return cls(
                Ed25519PrivateKey.from_private_bytes(
                    open_key(path, lambda: Ed25519PrivateKey.generate().private_bytes_raw())
                )
            )
        except ValueError as error:
            raise ReceiptRefused(
                f"{path}: not a key of this site. Put the key back from the backup: receipts given with it cannot be checked with another one."
            ) from error

    @property
    def public_key(self) -> str:
        """The key that checks receipts, in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, fields: dict[str, Any]) -> str:
        """Return the receipt that states `fields`."""
        body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        return ".".join((_MARK, _text(body), _text(self._key.sign(_signed(body)))))

    def verify(self, receipt: str) -> dict[str, Any]:
        """Return what `receipt` states, or raise ReceiptRefused."""
        return verify(receipt, self.public_key)


def verify(receipt: str, public_key: str) -> dict[str, Any]:
    """Return what `receipt` states if the holder of `public_key` (base64) signed it, or raise ReceiptRefused."""
    mark, _, rest = receipt.strip().partition(".")
    body_text, _, signature_text = rest.partition(".")
    if mark != _MARK or len(receipt) > _MAX_CHARS:
        raise ReceiptRefused("This is not a receipt. Copy it whole: it begins with ICT1 and has two dots.")
    try:
        body, signature = _bytes(body_text), _bytes(signature_text)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(signature, _signed(body))
        fields = json.loads(body)
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise ReceiptRefused("This receipt was not given by this site, or it was changed.") from error
    if not isinstance(fields, dict):
        raise ReceiptRefused("This receipt states nothing.")
    return fields


def _signed(body: bytes) -> bytes:
    return _MARK.encode() + b"." + body


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    if not text.isascii() or any(char not in _ALPHABET for char in text):
        raise ValueError(
            "not base64url"
        )  # b64decode would skip foreign characters: two texts for one receipt
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _text(raw) != text:
        raise ValueError("not the canonical form")
    return raw


_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
