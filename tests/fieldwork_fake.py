"""A small real fake of the hub's side of work on site: real files, real log and proofs, real signatures, one task of a shipped form."""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from fastapi import APIRouter, Request

from hub.inspection.procedures.shipped_files import shipped_procedures
from protocol import kinds, sheets
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.procedures import completeness
from protocol.procedures.answers import Answer, read_answers, read_rest
from protocol.procedures.model import Procedure
from protocol.procedures.reading import value_of
from tests.web_parts import Face
from web.guards import Inspecting

TASK = "T-7"
PARTS = {"container": ["TGHU1234567"]}


@dataclass
class Fake:
    """The tasks' state."""

    face: Face
    procedure: Procedure = field(default_factory=lambda: next(one for one in shipped_procedures() if one.key == "fruit"))
    roles: dict[str, str] = field(default_factory=lambda: {"li.wei": "lead", "wang.fang": "assistant"})
    acts: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, tuple[str, ec.EllipticCurvePublicKey]] = field(default_factory=dict)
    refuse: set[str] = field(default_factory=set)  # kinds of acts that are refused

    @property
    def sha256(self) -> str:
        return hashlib.sha256(sheets.encode(value_of(self.procedure))).hexdigest()

    def answers(self) -> tuple[Answer, ...]:
        found: list[Answer] = []
        for act in self.acts:
            said = json.loads(act["act"])
            if said["kind"] in ("answers", "rest"):
                found += self.read(said)
        return tuple(found)

    def read(self, said: dict[str, Any]) -> tuple[Answer, ...]:
        given = [{name: value for name, value in one.items() if name != "reason"} for one in said["payload"]["answers"]]
        return (read_rest if said["kind"] == "rest" else read_answers)(self.procedure, said["id"], given)

    def check(self, key_id: str, text: str, signature: str) -> dict[str, Any]:
        """Check key, signature, chain and values; raise what the hub would."""
        if key_id not in self.keys:
            raise RefusedError("key is not registered", where="key_id")
        raw = base64.b64decode(signature)
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        try:
            self.keys[key_id][1].verify(der, text.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise VerificationError("is not signed by this key", where="signature") from error
        said: dict[str, Any] = json.loads(text)
        if said["kind"] in self.refuse:
            raise RefusedError("task is over", where="act")
        if said["procedure"] != self.sha256:
            raise RefusedError("another procedure", where="procedure")
        if said["kind"] in ("answers", "rest"):
            self.read(said)
        return said


def add_fake(fake: Fake) -> None:  # noqa: C901 - its routes, each a few lines
    """Serve the interface from the hub's browser port."""
    router, hub = APIRouter(prefix="/api/v1/work"), fake.face.hub

    @router.post("/keys")
    async def keys(request: Request, caller: Inspecting) -> dict[str, Any]:
        spki = base64.b64decode((await request.json())["spki"])
        key = serialization.load_der_public_key(spki)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise MalformedError("is no P-256 key", where="spki")
        key_id = hashlib.sha256(spki).hexdigest()
        fake.keys[key_id] = (str(caller.person), key)
        return {"key_id": key_id, "certificate": "", "until_ms": 4_000_000_000_000}

    def entry(person: str) -> dict[str, Any]:
        facts = completeness.Facts(fake.answers(), frozenset(), parts=PARTS, roles=("lead", "assistant", "owner"))
        have, want = completeness.meter(fake.procedure, facts)
        return {
            "task": TASK, "title": "泰国榴莲 TGHU1234567", "declaration": "D-20261130-0000001", "bay": "Bay 3", "state": "INSPECTING",
            "role": fake.roles.get(person), "have": have, "want": want, "procedure": "fruit", "changed_ms": 1_000_000 + len(fake.acts),
        }  # fmt: skip

    @router.get("")
    async def tasks(caller: Inspecting) -> dict[str, Any]:
        return {"tasks": [entry(str(caller.person))] if str(caller.person) in fake.roles else []}

    @router.get("/{task}")
    async def one(task: str, caller: Inspecting) -> dict[str, Any]:
        facts = completeness.Facts(fake.answers(), frozenset(), parts=PARTS, roles=("lead", "assistant", "owner"))
        lacking = [asdict(each) for each in completeness.missing(fake.procedure, facts)]
        goods = [{"line": 1, "name": "榴莲 durian", "hs": "0810600000", "packages": 1200, "origin": "TH"}]
        return entry(str(caller.person)) | {
            "declaration": {"number": "D-20261130-0000001", "goods": goods, "containers": ["TGHU1234567"], "seals": ["S100200"]},
            "procedure": value_of(fake.procedure), "procedure_sha256": fake.sha256, "parts": PARTS, "open": ["TGHU1234567/3"],
            "acts": [], "files": {}, "pairings": [], "signatures": [], "missing": lacking, "instructions": [], "paused": None,
        }  # fmt: skip

    @router.get("/{task}/acts")
    async def acts(task: str, caller: Inspecting, after: int = 0) -> dict[str, Any]:
        return {"acts": [act for act in fake.acts if act["position"] > after]}

    @router.post("/{task}/acts")
    async def act(task: str, request: Request, caller: Inspecting) -> dict[str, Any]:
        body = await request.json()
        said = fake.check(body["key_id"], body["act"], body["signature"])
        known = next((each for each in fake.acts if each["id"] == said["id"]), None)
        if known is None:
            signed = await hub.log.issue(kinds.Stored((hashlib.sha256(body["act"].encode()).digest(),)), "port/acts")
            now = hub.core.clock.now().wall_ns // 1_000_000
            known = {
                "id": said["id"], "act": body["act"], "key_id": body["key_id"], "by": str(caller.person), "at_ms": now,
                "position": signed.record.position, "state": "in-hub",
            }  # fmt: skip
            fake.acts.append(known)
        return {"id": known["id"], "state": "in-hub", "position": known["position"]}

    @router.get("/{task}/proof/{act_id}")
    async def proof(task: str, act_id: str, caller: Inspecting) -> dict[str, Any]:
        index = next(each["position"] for each in fake.acts if each["id"] == act_id)
        if index >= hub.log.published_size():
            raise RefusedError("is not known to be published yet", where="proof")
        path = [base64.b64encode(node).decode() for node in await hub.log.proof(index)]
        record = base64.b64encode(await hub.log.leaf(index)).decode()
        return {"index": index, "record": record, "path": path, "checkpoint": (await hub.log.checkpoint()).decode()}

    fake.face.app.include_router(router)
