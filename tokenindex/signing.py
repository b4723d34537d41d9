"""Signatures: Ed25519 keys, in the forms that OpenSSL reads.

*Reads* and *writes* bytes of keys, texts and signatures. *Never* keeps a private key: whoever signs passes it.

Signing needs the package ``cryptography`` (extra ``sign``). Private keys are PKCS 8 PEM, public keys
SubjectPublicKeyInfo PEM, signatures 64 raw bytes:
``openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in FILE -sigfile FILE.sig``.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from .errors import AdapterError, LedgerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def new_key() -> bytes:
    """Return a new private key."""
    return pem_of(_cryptography().asymmetric.ed25519.Ed25519PrivateKey.generate())


def pem_of(private: Ed25519PrivateKey) -> bytes:
    """Return a private key as PEM, without a passphrase."""
    forms = _cryptography().serialization
    return private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())


def public_of(private_pem: bytes) -> str:
    """Return the public key of a private one, as PEM.

    Raises
    ------
    LedgerError
        If the bytes are no Ed25519 private key without a passphrase.
    """
    forms = _cryptography().serialization
    public = _private(private_pem).public_key()
    return public.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(public_pem: str) -> str:
    """Return the name of a public key: the SHA-256 of its 32 bytes, 64 hexadecimal digits.

    Raises
    ------
    LedgerError
        If the text is no Ed25519 public key.
    """
    lines = public_pem.strip().split("\n")
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        der = b""
    if (lines[0], lines[-1]) != _PEM or len(der) != len(_PREFIX) + 32 or not der.startswith(_PREFIX):
        raise LedgerError("the public key cannot be read", expected="an Ed25519 public key in PEM")
    return hashlib.sha256(der[len(_PREFIX) :]).hexdigest()


_PEM: Final = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")
_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""What a SubjectPublicKeyInfo says before the 32 bytes of an Ed25519 key."""


def sign(private_pem: bytes, content: bytes) -> bytes:
    """Return the signature of `content`, 64 bytes; the same ones for the same key and content."""
    return _private(private_pem).sign(content)


def signed(public_pem: str, content: bytes, signature: bytes) -> bool:
    """Return whether `signature` is that of `content` by the key."""
    installed()
    from cryptography.exceptions import InvalidSignature

    try:
        _public(public_pem).verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _private(pem: bytes) -> Ed25519PrivateKey:
    kind = _cryptography().asymmetric.ed25519.Ed25519PrivateKey
    try:
        key: Ed25519PrivateKey = _cryptography().serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as wrong:
        raise LedgerError(f"the key cannot be read: {wrong}", expected=_WANTED) from None
    if not isinstance(key, kind):
        raise LedgerError(f"the key is a {type(key).__name__}", expected=_WANTED)
    return key  # type: ignore[no-any-return]


def _public(pem: str) -> Ed25519PublicKey:
    key_id(pem)  # refuses what is none
    found: Ed25519PublicKey = _cryptography().serialization.load_pem_public_key(pem.encode())
    return found


_WANTED = "an Ed25519 private key in PEM, without a passphrase"


def installed() -> None:
    """Raise AdapterError if the package that signs and verifies is not installed."""
    _cryptography()


def _cryptography() -> Any:
    try:
        from cryptography.hazmat import primitives
        from cryptography.hazmat.primitives import serialization  # noqa: F401
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: F401
    except ImportError:
        remedy = "install the extra: pip install 'tokenindex[sign]'"
        raise AdapterError("cryptography is not installed", remedy=remedy) from None
    return primitives
