"""Files over HTTP: announced, sent in parts longer than other bodies, fetched by who may, refused in the asker's language."""

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web_parts import Face, open_face


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as found:
        yield found


async def test_a_photo_goes_up_in_parts_and_comes_back(face: Face) -> None:
    client = await face.login("li.wei")
    data = b"\xff\xd8\xff" + random.Random(1).randbytes(500_000)
    name = hashlib.sha256(data).hexdigest()
    ask = {"sha256": name, "size": len(data), "name": "箱号.jpg", "kind": "photo", "about": "task T-1"}
    answer = await client.post("/api/v1/files", json=ask)
    assert (answer.status_code, answer.json()["have_bytes"], answer.json()["state"]) == (200, 0, "announced")
    answer = await client.put(f"/api/v1/files/{name}?offset=0", content=data[:300_000])
    assert (answer.status_code, answer.json()["have_bytes"]) == (200, 300_000)
    answer = await client.put(f"/api/v1/files/{name}?offset=400000", content=data[400_000:])
    assert answer.status_code == 400 and "go on from 300000" in answer.json()["error"]["what"]
    chinese = await client.put(f"/api/v1/files/{name}?offset=400000", content=b"x", headers={"accept-language": "zh-CN"})
    assert "从 300000 继续" in chinese.json()["error"]["what"]
    missing = await client.get(f"/api/v1/files/{name}/content")
    assert missing.status_code == 503
    answer = await client.put(f"/api/v1/files/{name}?offset=300000", content=data[300_000:])
    assert answer.json()["state"] == "stored"
    other = await face.login("chen.min")
    got = await other.get(f"/api/v1/files/{name}/content")
    assert got.content == data
    assert "Cookie" in got.headers["vary"]  # who logs in next on this browser is not given it from its cache
    assert got.headers["content-type"] == "image/jpeg" and got.headers["x-content-type-options"] == "nosniff"
    assert (await other.get(f"/api/v1/files/{name}")).json()["state"] == "stored"
    assert (await other.post("/api/v1/files", json=ask)).json()["state"] == "stored"  # it may read it, so it need not send it


async def test_what_is_no_file_of_ours_is_refused(face: Face) -> None:
    client = await face.login("li.wei")
    page = b"<script>alert(1)</script>"
    name = hashlib.sha256(page).hexdigest()
    ask = {"sha256": name, "size": len(page), "name": "a.jpg", "kind": "photo"}
    for wrong in ({"size": 0}, {"sha256": "x"}, {"kind": "page"}, {"more": 1}, {"size": 2**50}):
        assert (await client.post("/api/v1/files", json=ask | wrong)).status_code == 400
    assert (await client.put(f"/api/v1/files/{name}", content=page)).status_code == 404
    assert (await client.get("/api/v1/files/nothing")).status_code == 400
    await client.post("/api/v1/files", json=ask)
    wrong_bytes = await client.put(f"/api/v1/files/{name}", content=page[::-1])
    assert wrong_bytes.status_code == 409 and wrong_bytes.json()["error"]["kind"] == "verification"
    await client.put(f"/api/v1/files/{name}", content=page)
    got = await client.get(f"/api/v1/files/{name}/content")
    assert got.headers["content-type"] == "application/octet-stream"  # by its bytes, whatever it is called
    assert got.headers["content-disposition"].startswith("attachment")
    stranger = face.client()
    assert (await stranger.put(f"/api/v1/files/{name}", content=page)).status_code == 401
    assert (await stranger.get(f"/api/v1/files/{name}/content")).status_code == 401


async def test_a_traders_files_are_the_traders(face: Face) -> None:
    trader, partner, inspector = await face.login("shen.mao"), await face.login("port.desk"), await face.login("li.wei")
    data = b"%PDF-1.7 permit"
    name = hashlib.sha256(data).hexdigest()
    ask = {"sha256": name, "size": len(data), "name": "permit.pdf", "kind": "document", "about": "declaration D-1"}
    await trader.post("/api/v1/files", json=ask)
    assert (await trader.put(f"/api/v1/files/{name}", content=data)).json()["state"] == "stored"
    assert (await trader.get(f"/api/v1/files/{name}/content")).headers["content-type"] == "application/pdf"
    assert (await partner.get(f"/api/v1/files/{name}")).status_code == 404
    assert (await partner.post("/api/v1/files", json=ask)).json()["state"] == "announced"  # the hash alone gives nothing
    assert (await partner.get(f"/api/v1/files/{name}/content")).status_code == 503
    assert (await inspector.get(f"/api/v1/files/{name}/content")).content == data
