"""Prove and verify the random function ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5).

Guarantees: only canonical encodings are taken (RFC 8032 §5.1.3), keys of small order are refused (RFC 9381 §5.4.5), and for one key and
one alpha there is one beta. Proving is not constant-time: keep it away from anyone who can time it.
"""

import hashlib
from dataclasses import dataclass

from protocol.errors import MalformedError, VerificationError

SEED_BYTES = KEY_BYTES = 32
PROOF_BYTES = 80
BETA_BYTES = 64
_SUITE = b"\x03"
_CHALLENGE_BYTES = 16
_COFACTOR = 8
_TRIES = 256
_P = 2**255 - 19
_Q = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_2D = 2 * _D % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
"""A point in extended coordinates (RFC 8032 §5.1.4): x = X/Z, y = Y/Z, T = XY/Z."""

_ZERO: Point = (0, 1, 1, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a key answers to an alpha: the proof `pi` and the output `beta` that it fixes."""

    pi: bytes
    beta: bytes


def public_key(seed: bytes) -> bytes:
    """Give the public key of a seed of 32 bytes (RFC 8032 §5.1.5); raise MalformedError for another length."""
    scalar, _ = _expand(seed)
    return _encode(_multiply(_BASE, scalar))


def prove(seed: bytes, alpha: bytes) -> Answer:
    """Answer `alpha` by the key of `seed` (RFC 9381 §5.1); raise MalformedError for a seed of another length."""
    scalar, prefix = _expand(seed)
    key = _encode(_multiply(_BASE, scalar))
    point = _to_curve(key, alpha)
    text = _encode(point)
    gamma = _multiply(point, scalar)
    nonce = int.from_bytes(hashlib.sha512(prefix + text).digest(), "little") % _Q  # RFC 9381 §5.4.2.2
    challenge = _challenge(key, text, gamma, _multiply(_BASE, nonce), _multiply(point, nonce))
    response = (nonce + challenge * scalar) % _Q
    pi = _encode(gamma) + challenge.to_bytes(_CHALLENGE_BYTES, "little") + response.to_bytes(32, "little")
    return Answer(pi, _beta(gamma))


def verify(key: bytes, alpha: bytes, pi: bytes) -> bytes:
    """Give the beta of a proof (RFC 9381 §5.3, with key validation); raise VerificationError when it does not hold.

    Raises MalformedError for a key or proof that is none.
    """
    public = _read_key(key)
    gamma, challenge, response = _read_proof(pi)
    point = _to_curve(key, alpha)
    u = _add(_multiply(_BASE, response), _negate(_multiply(public, challenge)))
    v = _add(_multiply(point, response), _negate(_multiply(gamma, challenge)))
    if _challenge(key, _encode(point), gamma, u, v) != challenge:
        raise VerificationError("the proof does not hold for this key and alpha", where="vrf")
    return _beta(gamma)


def proof_to_hash(pi: bytes) -> bytes:
    """Give the beta of a proof that was verified before (RFC 9381 §5.2); raise MalformedError when it is none."""
    return _beta(_read_proof(pi)[0])


def check_key(key: bytes) -> None:
    """Refuse what is no public key, or one of small order (RFC 9381 §5.4.5), by MalformedError."""
    _read_key(key)


def _expand(seed: bytes) -> tuple[int, bytes]:
    if len(seed) != SEED_BYTES:
        raise MalformedError(f"seed of {len(seed)} bytes, expected {SEED_BYTES}", where="vrf")
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & ((1 << 254) - 8) | (1 << 254), digest[32:]


def _read_key(key: bytes) -> Point:
    point = _decode(key)
    if point is None or _is_zero(_multiply(point, _COFACTOR)):
        raise MalformedError("is no public key, or one of small order", where="vrf key")
    return point


def _read_proof(pi: bytes) -> tuple[Point, int, int]:
    """Read a proof (RFC 9381 §5.4.4)."""
    if len(pi) != PROOF_BYTES:
        raise MalformedError(f"proof of {len(pi)} bytes, expected {PROOF_BYTES}", where="vrf")
    gamma = _decode(pi[:32])
    response = int.from_bytes(pi[48:], "little")
    if gamma is None or response >= _Q:
        raise MalformedError("its point or its scalar is not in canonical form", where="vrf proof")
    return gamma, int.from_bytes(pi[32:48], "little"), response


def _to_curve(key: bytes, alpha: bytes) -> Point:
    """Hash to the curve by trying and incrementing, the key as salt (RFC 9381 §5.4.1.1)."""
    for counter in range(_TRIES):
        digest = hashlib.sha512(_SUITE + b"\x01" + key + alpha + bytes((counter, 0))).digest()
        point = _decode(digest[:32])
        if point is not None and not _is_zero(cleared := _multiply(point, _COFACTOR)):
            return cleared
    raise VerificationError("no point was found for this alpha", where="vrf")  # one in 2^256


def _challenge(key: bytes, point: bytes, gamma: Point, u: Point, v: Point) -> int:
    """Give the challenge over five points (RFC 9381 §5.4.3)."""
    text = _SUITE + b"\x02" + key + point + _encode(gamma) + _encode(u) + _encode(v) + b"\x00"
    return int.from_bytes(hashlib.sha512(text).digest()[:_CHALLENGE_BYTES], "little")


def _beta(gamma: Point) -> bytes:
    return hashlib.sha512(_SUITE + b"\x03" + _encode(_multiply(gamma, _COFACTOR)) + b"\x00").digest()


def _add(a: Point, b: Point) -> Point:
    """Add two points, any two (RFC 8032 §5.1.4)."""
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    less, more = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    cross, double = t1 * _2D * t2 % _P, 2 * z1 * z2 % _P
    e, f, g, h = more - less, double - cross, double + cross, more + less
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(a: Point) -> Point:
    x, y, z, _ = a
    xx, yy = x * x % _P, y * y % _P
    h = xx + yy
    e = h - (x + y) * (x + y) % _P
    g = xx - yy
    f = 2 * z * z % _P + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(point: Point, scalar: int) -> Point:
    """Multiply from the top bit down."""
    found = _ZERO
    for bit in bin(scalar)[2:]:
        found = _double(found)
        if bit == "1":
            found = _add(found, point)
    return found


def _negate(point: Point) -> Point:
    x, y, z, t = point
    return -x % _P, y, z, -t % _P


def _is_zero(point: Point) -> bool:
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0


def _encode(point: Point) -> bytes:
    """Give the 32 bytes of a point (RFC 8032 §5.1.2)."""
    x, y, z, _ = point
    inverse = pow(z, -1, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> Point | None:
    """Read a point; None for what is none, or another spelling of one (RFC 8032 §5.1.3)."""
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _base() -> Point:
    point = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    if point is None:
        raise VerificationError("the base point is none", where="vrf")  # the constants above are wrong
    return point


_BASE = _base()
