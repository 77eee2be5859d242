"""Key files are private and never overwritten; certificates are judged by chain, instant, site, name and usage."""

import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from protocol import certificates as certs
from protocol.certificates import Authority, Certificate, Identity, Validity, check_box
from protocol.errors import MalformedError, StorageError, VerificationError
from protocol.identifiers import BoxId, HubId, SiteId
from protocol.instants import SECOND_NS
from protocol.notes import COSIGNATURE, Checkpoint, NoteKey, SignedCheckpoint, cosign, sign_checkpoint
from protocol.trust import Trust, log_origin
from simulators.evidence import fixed_ed25519, fixed_p256
from storage.keys import create_ed25519, create_p256, create_signer, load_ed25519, load_or_create_p256, load_p256, load_signer

NOW = 1_795_000_000 * SECOND_NS
SITE, BOX = SiteId("testport"), Identity(SiteId("testport"), BoxId("box-1"))
YEAR_NS = 365 * certs.DAY_NS


class TestKeyFiles:
    @pytest.mark.parametrize("kind", ["p256", "ed25519"])
    def test_made_and_read_back(self, tmp_path: Path, kind: Any) -> None:
        made = create_signer(tmp_path / "keys" / "a.key", kind)
        assert stat.S_IMODE((tmp_path / "keys" / "a.key").stat().st_mode) == 0o600
        assert load_signer(tmp_path / "keys" / "a.key").public == made.public
        made.public.verify(made.sign(b"x"), b"x")
        assert [path.name for path in (tmp_path / "keys").iterdir()] == ["a.key"]

    def test_an_existing_key_is_never_overwritten(self, tmp_path: Path) -> None:
        made = create_p256(tmp_path / "a.key")
        with pytest.raises(StorageError, match="not overwritten"):
            create_p256(tmp_path / "a.key")
        assert load_or_create_p256(tmp_path / "a.key").public == made.public

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_a_key_that_others_can_read_is_refused(self, tmp_path: Path, mode: int) -> None:
        create_p256(tmp_path / "a.key")
        (tmp_path / "a.key").chmod(mode)
        with pytest.raises(StorageError, match="others may read"):
            load_signer(tmp_path / "a.key")

    def test_other_keys_and_garbage_are_refused(self, tmp_path: Path) -> None:
        create_p256(tmp_path / "p256.key")
        create_ed25519(tmp_path / "ed25519.key")
        with pytest.raises(MalformedError, match="expected P-256"):
            load_p256(tmp_path / "ed25519.key")
        with pytest.raises(MalformedError, match="expected Ed25519"):
            load_ed25519(tmp_path / "p256.key")
        with pytest.raises(StorageError, match="cannot read"):
            load_signer(tmp_path / "none.key")
        others: tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, ...] = (
            ec.generate_private_key(ec.SECP384R1()),
            rsa.generate_private_key(65537, 2048),
        )
        for number, key in enumerate(others):
            path = tmp_path / f"{number}.key"
            path.touch(0o600)
            path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            with pytest.raises(MalformedError):
                load_signer(path)
        (tmp_path / "0.key").write_bytes(b"garbage")
        with pytest.raises(MalformedError):
            load_signer(tmp_path / "0.key")


@dataclass(frozen=True)
class Site:
    root: Certificate
    ca: Certificate
    authority: Authority

    @property
    def chain(self) -> tuple[Certificate, ...]:
        return (self.ca, self.root)


def site(name: SiteId = SITE, seed: int = 60) -> Site:
    root_key, ca_key = fixed_p256(seed), fixed_p256(seed + 1)
    root = certs.issue_root(root_key, name, Validity.backdated(NOW, 30 * YEAR_NS, 1))
    ca = certs.issue_site_ca(ca_key.public, name, Authority(root, root_key), Validity.backdated(NOW, 15 * YEAR_NS, 2))
    return Site(root, ca, Authority(ca, ca_key))


def leaf(at: Site, usage: certs.Usage = "records", identity: Identity = BOX) -> Certificate:
    return certs.issue_box(fixed_p256(70).public, identity, usage, at.authority, Validity.backdated(NOW, 3 * YEAR_NS, 3))


class TestChains:
    def check(self, one: Certificate, at: Site, **changes: Any) -> Identity:
        facts: dict[str, Any] = {"root_sha256": at.root.fingerprint, "at_ns": NOW, "usage": "records"}
        return check_box(one, at.chain, **(facts | changes))

    def test_a_true_chain_names_the_box(self) -> None:
        assert self.check(leaf(site()), site()) == BOX

    @pytest.mark.parametrize("at_ns", [NOW - 2 * certs.DAY_NS, NOW + 3 * YEAR_NS + SECOND_NS])
    def test_outside_of_its_time(self, at_ns: int) -> None:
        with pytest.raises(VerificationError, match="valid from"):
            self.check(leaf(site()), site(), at_ns=at_ns)

    def test_backdated_for_boxes_whose_clock_runs_behind(self) -> None:
        assert self.check(leaf(site()), site(), at_ns=NOW - certs.DAY_NS // 2) == BOX

    def test_another_usage_root_ca_or_site(self) -> None:
        at = site()
        wrong: tuple[tuple[Callable[[], object], str], ...] = (
            (lambda: self.check(leaf(site(), "client"), site()), "not for records"),
            (lambda: self.check(leaf(site()), site(), root_sha256="0" * 64), "trusted fingerprint"),
            (lambda: self.check(leaf(site(seed=80)), site()), "not signed by"),
            (lambda: self.check(leaf(site(), identity=Identity(SiteId("other"), BoxId("box-1"))), site()), "issued by the site CA of"),
            (lambda: check_box(leaf(at), (at.root,), root_sha256=at.root.fingerprint, at_ns=NOW, usage="records"), "not given"),
            (lambda: self.check(at.ca, replace(at, ca=at.root)), "not given|authority"),
        )
        for act, words in wrong:
            with pytest.raises(VerificationError, match=words):
                act()

    def test_a_box_cannot_certify(self) -> None:
        at = site()
        rogue = Authority(leaf(at), fixed_p256(70))
        minted = certs.issue_box(fixed_p256(71).public, BOX, "records", rogue, Validity.backdated(NOW, YEAR_NS, 4))
        with pytest.raises(VerificationError, match="not given"):
            check_box(minted, (*at.chain, leaf(at)), root_sha256=at.root.fingerprint, at_ns=NOW, usage="records")

    def test_ports_have_their_own_usage(self) -> None:
        at = site()
        server = certs.issue_port(
            fixed_p256(72).public, "hub-1", ["127.0.0.1", "hub.local"], at.authority, Validity.backdated(NOW, YEAR_NS, 5)
        )
        client = certs.issue_port(fixed_p256(72).public, "hub-1", [], at.authority, Validity.backdated(NOW, YEAR_NS, 6))
        assert ("server" in server.usages, "client" in client.usages, len(server.usages | client.usages)) == (True, True, 2)
        with pytest.raises(VerificationError):
            _ = server.identity

    def test_garbage_is_refused(self) -> None:
        for data in (b"", b"0" * 100, leaf(site()).der[:-1], bytes(certs.MAX_CERTIFICATE_BYTES + 1)):
            with pytest.raises(MalformedError):
                Certificate.parse(data)
        with pytest.raises(MalformedError):
            certs.parse_pem(b"no certificate")


class TestRequests:
    def test_a_request_proves_its_key_and_name(self) -> None:
        signer = fixed_p256(70)
        assert certs.check_request(certs.make_request(signer, BOX), BOX) == signer.public

    def test_wrong_ones_are_refused(self) -> None:
        good = certs.make_request(fixed_p256(70), BOX)
        with pytest.raises(VerificationError, match="expected"):
            certs.check_request(good, Identity(SITE, BoxId("box-2")))
        broken = bytearray(good)
        broken[-1] ^= 1
        with pytest.raises(VerificationError, match="not signed"):
            certs.check_request(bytes(broken), BOX)
        for data in (b"", good[:-1], b"x" * 9000):
            with pytest.raises(MalformedError):
                certs.check_request(data, BOX)


class TestTrust:
    LOG = fixed_ed25519(1)
    HEAD = Checkpoint(log_origin(SITE, "hub-1"), 5, bytes(32))

    def trust(self, **changes: Any) -> Trust:
        key = NoteKey(self.HEAD.origin, 1, self.LOG.public)
        return replace(Trust(SITE, HubId("hub-1"), "0" * 64, key), **changes)

    def test_signed_by_the_site_ca(self) -> None:
        signer = fixed_p256(61)
        assert Trust.verify(self.trust().sign(signer), signer.public) == self.trust()
        with pytest.raises(VerificationError):
            Trust.verify(self.trust().sign(signer), fixed_p256(62).public)

    def test_the_quorum_counts_keys_not_names(self) -> None:
        one, two = fixed_ed25519(2), fixed_ed25519(3)
        keys = (NoteKey("a", COSIGNATURE, one.public), NoteKey("b", COSIGNATURE, two.public))
        trust = self.trust(witnesses=keys, quorum=2)
        half = sign_checkpoint(self.HEAD, self.LOG, (cosign(self.HEAD.text(), "a", one, 7),))
        with pytest.raises(VerificationError, match="policy asks for 2"):
            trust.check_checkpoint(SignedCheckpoint.parse(half))
        full = sign_checkpoint(self.HEAD, self.LOG, (cosign(self.HEAD.text(), "a", one, 7), cosign(self.HEAD.text(), "b", two, 8)))
        assert trust.check_checkpoint(SignedCheckpoint.parse(full)) is None
        with pytest.raises(MalformedError, match="quorum"):
            self.trust(witnesses=(keys[0], replace(keys[0], name="c")), quorum=2)

    def test_wrong_files_are_refused(self) -> None:
        good = self.trust().encode()
        for wrong in (b"", b"[]", b"{}", good.replace(b'"quorum": 0', b'"quorum": "0"'), good.replace(b"0000", b"zzzz", 1), good + b"x"):
            with pytest.raises(MalformedError):
                Trust.parse(wrong)
