"""The identity key in a PKCS#11 token: made inside it, never out of it, and signing requests and journals as a file's key does."""

import copy
import os
import subprocess
from pathlib import Path
from shutil import which
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.enrolment import EnrolmentPlan, _prepare
from edge.journal import Box, Journal
from protocol.certificates import Identity, check_request, make_request
from protocol.errors import MalformedError, StorageError, VerificationError
from protocol.identifiers import BoxId, SiteId
from protocol.journals import Journal as Follower
from protocol.records import read
from protocol.signatures import open1, sign1
from storage.key_tokens import Token, TokenUri, load_identity, load_or_create_identity
from storage.spool import Spool
from tests.edge_parts import BOX, TestClock

LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")
IDENTITY = Identity(SiteId("dayaowan"), BoxId("box-1"))
PIN = "482913"


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Give a fresh token of SoftHSM2. One for the module: a process loads a PKCS#11 library, and its configuration, once."""
    library = next((path for path in LIBRARIES if Path(path).exists()), None)
    if library is None or which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 is not installed (Debian package softhsm2)")
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed (extra `pkcs11`)")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    start = ["softhsm2-util", "--init-token", "--free", "--label", "box-1", "--pin", PIN, "--so-pin", "73920182"]
    subprocess.run(start, check=True, capture_output=True)
    pin = folder / "pin"
    pin.write_text(f"{PIN}\n")
    pin.chmod(0o600)
    query = f"?module-path={library}&pin-source=file:{pin}"
    return SimpleNamespace(uri=lambda name: f"pkcs11:token=box-1;object={name};id=%0{ord(name[0]) % 7}{query}", pin=pin, folder=folder)


def test_enrolment_makes_the_key_inside_the_token_and_signs_its_request_there(softhsm: SimpleNamespace, tmp_path: Path) -> None:
    made = load_or_create_identity(softhsm.uri("identity"), tmp_path / "identity.key")
    assert check_request(make_request(made, IDENTITY), IDENTITY) == made.public
    assert not (tmp_path / "identity.key").exists()
    again = load_identity(softhsm.uri("identity"), tmp_path / "identity.key")
    assert again.public == made.public  # the same key, not another one
    envelope = open1(sign1(b"a record", again))
    envelope.verify(made.public)
    with pytest.raises(VerificationError):
        open1(sign1(b"another record", again)[:-1] + b"\x00").verify(made.public)


def test_enrolment_asks_for_the_key_of_the_token_and_writes_none(softhsm: SimpleNamespace, tmp_path: Path) -> None:
    plan = EnrolmentPlan(BoxId("box-1"), SiteId("dayaowan"), "https://hub", "token", "0" * 64, tmp_path, identity=softhsm.uri("enrolled"))
    request = _prepare(plan)
    assert request.identity_csr is not None
    assert check_request(request.identity_csr, IDENTITY) == load_identity(plan.identity, plan.keys / "identity.key").public
    assert sorted(path.name for path in plan.keys.glob("*.key")) == ["tls.key"]
    assert _prepare(plan) == request  # taken up again after an interruption


def test_a_box_keeps_its_journal_by_a_key_in_a_token(softhsm: SimpleNamespace, tmp_path: Path) -> None:
    identity = load_or_create_identity(softhsm.uri("journal"), tmp_path / "unused")
    spool = Spool(tmp_path / "spool.db")
    spool.open()
    journal = Journal(spool, Box(BOX, identity, bytes(16), "test"), TestClock())
    journal.start()
    journal.append([], seal="interval")
    follower = Follower(BOX, 0, (identity.public,))
    for row in spool.records(0, 0, 10):
        follower.append(read(row.data))
    spool.close()
    assert follower.frontier.root() == journal.root


def test_the_key_does_not_leave_its_token(softhsm: SimpleNamespace, tmp_path: Path) -> None:
    import pkcs11

    key = load_or_create_identity(softhsm.uri("kept"), tmp_path / "unused").key
    with pytest.raises(StorageError, match="stays in its token"):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(StorageError, match="stays in its token"):
        key.private_numbers()
    assert copy.deepcopy(key) is key
    token = Token(TokenUri.parse(softhsm.uri("kept")))
    with token._session() as (session, _):
        private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="kept")
        assert private[pkcs11.Attribute.EXTRACTABLE] is False
        assert private[pkcs11.Attribute.SENSITIVE] is True
        with pytest.raises(pkcs11.PKCS11Error):
            _ = private[pkcs11.Attribute.VALUE]


def test_faults_of_a_token_are_named(softhsm: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no such key"):
        load_identity(softhsm.uri("nobody"), tmp_path / "unused")
    with pytest.raises(StorageError, match="NoSuchToken"):
        load_identity(softhsm.uri("identity").replace("token=box-1", "token=box-9"), tmp_path / "unused")
    token = Token(TokenUri.parse(softhsm.uri("twice")))
    token.create()
    with pytest.raises(StorageError, match="already"):
        token.create()
    wrong = tmp_path / "pin"
    wrong.write_text("000000")
    wrong.chmod(0o600)
    with pytest.raises(StorageError, match="Pin"):
        load_identity(softhsm.uri("identity").replace(str(softhsm.pin), str(wrong)), tmp_path / "unused")
    wrong.chmod(0o644)
    with pytest.raises(StorageError, match="others may read this PIN"):
        load_identity(softhsm.uri("identity").replace(str(softhsm.pin), str(wrong)), tmp_path / "unused")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("file:/etc/key", "is no pkcs11: URI"),
        ("pkcs11:token=a;object=b", "needs token or serial"),
        ("pkcs11:object=b?module-path=/x.so", "needs token or serial"),
        ("pkcs11:token=a;object=b?module-path=/x.so&pin-value=1234", "does not belong into the settings"),
        ("pkcs11:token=a;object=b;colour=red?module-path=/x.so", "'colour' is not known"),
        ("pkcs11:token=a;token=b;object=b?module-path=/x.so", "there twice"),
        ("pkcs11:token=a;object=b;type=public?module-path=/x.so", "names no private key"),
        ("pkcs11:" + "a" * 3000, "is no pkcs11: URI"),
    ],
)
def test_uris_that_name_no_key_are_refused(uri: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        TokenUri.parse(uri)


def test_a_uri_is_read_as_rfc_7512_writes_it() -> None:
    found = TokenUri.parse("pkcs11:token=The%20box;id=%00%ff;type=private?module-path=/lib/x.so&pin-source=file:/etc/pin")
    assert (found.token, found.key_id, found.module, found.pin_file) == ("The box", b"\x00\xff", Path("/lib/x.so"), Path("/etc/pin"))


def test_a_key_in_a_file_stays_what_it_was(tmp_path: Path) -> None:
    made = load_or_create_identity("file", tmp_path / "identity.key")
    assert load_identity("file", tmp_path / "identity.key").public == made.public
