"""Answers to a camera's question for a login (RFC 7616 and 2617 digest; RFC 7617 basic, only where allowed).

Guarantees: the password appears in no representation, log or error; the strongest offered scheme is taken.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.errors import MalformedError

MAX_CHALLENGE_CHARS = 2048

_ITEM = re.compile(r'(?:([A-Za-z]{1,32})[ \t]+)?([A-Za-z0-9_-]{1,64})[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]+)')


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_HASHES: tuple[tuple[str, Callable[[str], str]], ...] = (("SHA-256", _sha256), ("MD5", _md5))  # best first


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that was offered: scheme in lower case and its parameters."""

    scheme: str
    parameters: dict[str, str]


def read_challenges(values: Sequence[str]) -> list[Challenge]:
    """Read `WWW-Authenticate` values, several challenges in one value included.

    Raises MalformedError when one is longer than the limit.
    """
    found: list[Challenge] = []
    for value in values:
        if len(value) > MAX_CHALLENGE_CHARS:
            raise MalformedError(f"challenge exceeds {MAX_CHALLENGE_CHARS} characters", where="www-authenticate")
        for scheme, name, text in _ITEM.findall(value):
            if scheme:
                found.append(Challenge(scheme.lower(), {}))
            if found:
                found[-1].parameters[name.lower()] = text[1:-1] if text.startswith('"') else text
    return found


@dataclass(slots=True)
class Login:
    """The credentials of one device and what it asked for last."""

    username: str
    password: str = field(repr=False)
    allows_basic: bool = False
    _challenge: Challenge | None = field(default=None, repr=False)
    _count: int = 0
    _is_proved: bool = False

    def authorization(self, method: str, uri: str) -> str:
        """Return the `Authorization` value for a request, empty while nothing was asked."""
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        self._count += 1
        return self._digest(challenge.parameters, method, uri, secrets.token_hex(16))

    @property
    def was_asked(self) -> bool:
        """Tell whether the device asked for a login."""
        return self._challenge is not None

    def prove(self) -> None:
        """Note that the last authorization was accepted."""
        self._is_proved = self._challenge is not None

    def learn(self, values: Sequence[str]) -> str:
        """Take the challenges of a refusal; return why it is of no use to try again, or "" when it is.

        Raises MalformedError when a challenge is too long.
        """
        challenges = read_challenges(values)
        if not self.username:
            return "the camera asks for a login and none is set"
        chosen = self._choose(challenges)
        if chosen is None:
            offered = ", ".join(sorted({c.scheme for c in challenges if c.scheme.isalpha()})) or "nothing"
            return f"no allowed way to log in is offered (offered: {offered})"
        before, self._challenge = self._challenge, chosen
        was_proved, self._is_proved = self._is_proved, False
        self._count = 0
        is_stale = chosen.parameters.get("stale", "").lower() == "true"
        # Some cameras replace a nonce without calling the old one stale.
        is_renewed = was_proved and before is not None and before.parameters.get("nonce") != chosen.parameters.get("nonce")
        return "" if before is None or is_stale or is_renewed else "user name or password is wrong"

    def _choose(self, challenges: list[Challenge]) -> Challenge | None:
        for name, _ in _HASHES:
            for challenge in challenges:
                algorithm = challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")
                if challenge.scheme == "digest" and algorithm == name and "nonce" in challenge.parameters:
                    return challenge
        if self.allows_basic:
            return next((c for c in challenges if c.scheme == "basic"), None)
        return None

    def _digest(self, asked: dict[str, str], method: str, uri: str, cnonce: str) -> str:
        algorithm = asked.get("algorithm", "MD5")
        digest = dict(_HASHES)[algorithm.upper().removesuffix("-SESS")]
        realm, nonce = asked.get("realm", ""), asked["nonce"]
        secret = digest(f"{self.username}:{realm}:{self.password}")
        if algorithm.upper().endswith("-SESS"):
            secret = digest(f"{secret}:{nonce}:{cnonce}")
        request = digest(f"{method}:{uri}")
        username = self.username.replace("\\", "\\\\").replace('"', '\\"')
        items = [f'username="{username}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{uri}"']
        if "auth" in (item.strip() for item in asked.get("qop", "").split(",")):
            count = f"{self._count:08x}"
            response = digest(f"{secret}:{nonce}:{count}:{cnonce}:auth:{request}")
            items += ["qop=auth", f"nc={count}", f'cnonce="{cnonce}"']
        else:
            response = digest(f"{secret}:{nonce}:{request}")
            if algorithm.upper().endswith("-SESS"):
                items.append(f'cnonce="{cnonce}"')
        items.append(f'response="{response}"')
        if "algorithm" in asked:
            items.append(f"algorithm={algorithm}")
        if "opaque" in asked:
            items.append(f'opaque="{asked["opaque"]}"')
        return "Digest " + ", ".join(items)
