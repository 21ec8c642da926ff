# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP (RFC 4303): taking a payload out of it and putting one into it.

AES-CBC (RFC 3602) with HMAC-SHA-256-128 (RFC 4868), and AES-GCM with an ICV of 16 octets (RFC 4106). Sequence numbers
have 32 bits: there is nobody to negotiate more with where keys are manual. Transport and tunnel mode look the same
from here. Knows no addresses and no policy; which keys, and what has to be true for an initialisation vector never
to be used twice, is for core/ipsec.py to say.

AES comes from the `cryptography` package, which is imported when the first packet needs it: an agent without security
associations does without.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import Enum
from struct import Struct

from .errors import WireError


class Algorithm(Enum):
    """What encrypts and what authenticates; there is none that does only one of the two."""

    AES_CBC_HMAC_SHA_256_128 = "aes-cbc-hmac-sha-256-128"
    AES_GCM_16 = "aes-gcm-16"


BLOCK_LENGTH = 16  # of AES, and so the initialisation vector of AES-CBC
GCM_IV_LENGTH = 8
GCM_SALT_LENGTH = 4  # RFC 4106 section 4: the rest of the nonce, part of the key
ICV_LENGTH = 16  # of both
AES_KEY_LENGTHS = (16, 24, 32)
HMAC_KEY_LENGTH = 32  # RFC 4868 section 2.1.1

_HEADER = Struct("!II")
_GCM_ALIGNMENT = 4  # RFC 4303 section 2.4


@dataclass(frozen=True, slots=True)
class Keys:
    """One direction of a security association."""

    spi: int
    algorithm: Algorithm
    encryption: bytes = field(repr=False)  # AES-GCM: the salt stands at its end (RFC 4106 section 8.1)
    authentication: bytes = field(repr=False, default=b"")  # AES-GCM has none


def unavailable() -> str:
    """Why AES cannot be had here; empty if it can."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: F401
    except Exception as error:  # a wheel for another Python or machine fails in its own ways
        return f"{type(error).__name__}: {error}"
    return ""


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+  --   --
# |                              SPI                              |   |    |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   |    |
# |                        Sequence Number                        |  GCM:  |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+  AAD  HMAC
# |                 IV (16 octets, AES-GCM: 8)                    |        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+  --    |
# |                            Payload                            |   |    |
# +               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ encr.  |
# |               |    Padding    |  Pad Length   |  Next Header  |   |    |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+  --   --
# |                        ICV (16 octets)                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


def spi_of(data: bytes) -> int:
    """The SPI of an ESP packet, which says what the rest of it means."""
    if len(data) < _HEADER.size:
        raise WireError("truncated", f"ESP of {len(data)} octets")
    spi: int = _HEADER.unpack_from(data)[0]
    return spi


def open_(keys: Keys, data: bytes) -> tuple[int, bytes]:
    """(next header, payload) of an ESP packet; WireError unless it was made with these keys.

    What is verified comes before what is decrypted (RFC 4303 section 3.4.4), so that nobody without the key learns
    anything from an answer or its delay.
    """
    match keys.algorithm:
        case Algorithm.AES_CBC_HMAC_SHA_256_128:
            plain = _open_cbc(keys, data)
        case Algorithm.AES_GCM_16:
            plain = _open_gcm(keys, data)
    pad_length, next_header = plain[-2], plain[-1]
    end = len(plain) - 2 - pad_length
    if end < 0 or plain[end:-2] != _padding(pad_length):
        raise WireError("esp_padding", f"{pad_length} octets of padding in {len(plain)}")
    return next_header, plain[:end]


def seal(keys: Keys, sequence: int, iv: bytes, next_header: int, payload: bytes) -> bytes:
    """An ESP packet. iv: 16 unpredictable octets (see unpredictable_iv), for AES-GCM 8 never used before."""
    header = _HEADER.pack(keys.spi, sequence)
    match keys.algorithm:
        case Algorithm.AES_CBC_HMAC_SHA_256_128:
            plain = _with_trailer(payload, next_header, BLOCK_LENGTH)
            body = header + iv + _aes_cbc(keys.encryption, iv, plain)
            return body + _icv(keys, body)
        case Algorithm.AES_GCM_16:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            key, salt = _gcm_key(keys)
            plain = _with_trailer(payload, next_header, _GCM_ALIGNMENT)
            return header + iv + AESGCM(key).encrypt(salt + iv, plain, header)


def unpredictable_iv(keys: Keys, nonce: bytes) -> bytes:
    """An initialisation vector for AES-CBC from 16 octets that were not used before: NIST SP 800-38A, appendix C.

    It needs no randomness but the key, so that deciding stays repeatable, and is as good as the nonce is new.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(keys.encryption), modes.ECB()).encryptor()  # noqa: S305 - one block, on purpose
    return encryptor.update(nonce) + encryptor.finalize()


# --- the two algorithms ------------------------------------------------------------------------------------


def _open_cbc(keys: Keys, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encrypted_at = _HEADER.size + BLOCK_LENGTH
    length = len(data) - encrypted_at - ICV_LENGTH
    if length < BLOCK_LENGTH or length % BLOCK_LENGTH:
        raise WireError("esp_length", f"{len(data)} octets")
    body = data[:-ICV_LENGTH]
    if not hmac.compare_digest(_icv(keys, body), data[-ICV_LENGTH:]):
        raise WireError("esp_icv", f"SPI {keys.spi}")
    decryptor = Cipher(algorithms.AES(keys.encryption), modes.CBC(body[_HEADER.size : encrypted_at])).decryptor()
    return decryptor.update(body[encrypted_at:]) + decryptor.finalize()


def _open_gcm(keys: Keys, data: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    encrypted_at = _HEADER.size + GCM_IV_LENGTH
    length = len(data) - encrypted_at - ICV_LENGTH
    if length < _GCM_ALIGNMENT or length % _GCM_ALIGNMENT:
        raise WireError("esp_length", f"{len(data)} octets")
    key, salt = _gcm_key(keys)
    nonce = salt + data[_HEADER.size : encrypted_at]
    try:
        return AESGCM(key).decrypt(nonce, data[encrypted_at:], data[: _HEADER.size])
    except InvalidTag:
        raise WireError("esp_icv", f"SPI {keys.spi}") from None


def _gcm_key(keys: Keys) -> tuple[bytes, bytes]:
    return keys.encryption[:-GCM_SALT_LENGTH], keys.encryption[-GCM_SALT_LENGTH:]


def _aes_cbc(key: bytes, iv: bytes, plain: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def _icv(keys: Keys, body: bytes) -> bytes:
    return hmac.digest(keys.authentication, body, "sha256")[:ICV_LENGTH]


def _with_trailer(payload: bytes, next_header: int, alignment: int) -> bytes:
    pad_length = -(len(payload) + 2) % alignment
    return payload + _padding(pad_length) + bytes((pad_length, next_header))


def _padding(length: int) -> bytes:
    """RFC 4303 section 2.4: 1, 2, 3, ..."""
    return bytes(range(1, length + 1))
