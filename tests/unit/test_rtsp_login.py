"""Logins: the examples of RFC 7616, the choice between offers, and silence about the password."""

import pytest

from firmware_adapters.digest import MAX_CHALLENGE_CHARS, Login, read_challenges
from firmware_adapters.rtsp_connection import read_address
from protocol.errors import MalformedError, RefusedError

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
OFFER = f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={{}}, nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ci"'


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    login = Login("Mufasa", "Circle of Life")
    (challenge,) = read_challenges([OFFER.format(algorithm)])
    login._count = 1
    answer = login._digest(challenge.parameters, "GET", "/dir/index.html", CNONCE)
    assert f'response="{response}"' in answer
    assert "nc=00000001" in answer
    assert 'opaque="FQhe/qaU925kfnzjCev0ci"' in answer


def test_example_of_rfc_2069_without_qop() -> None:
    login = Login("Mufasa", "CircleOfLife")
    assert not login.learn(['Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'])
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in login.authorization("GET", "/dir/index.html")


def test_strongest_offer_is_taken_and_counted() -> None:
    login = Login("u", "p", allows_basic=True)
    assert login.authorization("DESCRIBE", "x") == ""
    assert not login.learn(['Basic realm="a"', OFFER.format("MD5"), OFFER.format("SHA-256")])
    first, second = login.authorization("DESCRIBE", "x"), login.authorization("SETUP", "x")
    assert "algorithm=SHA-256" in first
    assert "nc=00000001" in first
    assert "nc=00000002" in second


def test_basic_only_where_it_is_allowed() -> None:
    assert "offered: basic" in Login("u", "p").learn(['Basic realm="a"'])
    login = Login("u", "p", allows_basic=True)
    assert not login.learn(['Basic realm="a"'])
    assert login.authorization("PLAY", "x") == "Basic dTpw"


def test_second_question_means_a_wrong_password_unless_the_nonce_was_old() -> None:
    login = Login("u", "p")
    assert not login.learn(['Digest realm="r", nonce="1"'])
    assert login.learn(['Digest realm="r", nonce="2"']) == "user name or password is wrong"
    login = Login("u", "p")
    assert not login.learn(['Digest realm="r", nonce="1"'])
    assert not login.learn(['Digest realm="r", nonce="2", stale=true'])
    login.prove()
    assert not login.learn(['Digest realm="r", nonce="3"'])
    assert login.learn(['Digest realm="r", nonce="4"'])


def test_several_challenges_in_one_header() -> None:
    found = read_challenges(['Basic realm="x, y", Digest realm="a \\" b", nonce="n", stale=FALSE'])
    assert [challenge.scheme for challenge in found] == ["basic", "digest"]
    assert found[1].parameters["nonce"] == "n"
    with pytest.raises(MalformedError):
        read_challenges(["Digest " + "a" * MAX_CHALLENGE_CHARS])


def test_passwords_are_never_shown() -> None:
    address = read_address("rtsp://admin:sec%40ret@10.0.0.1:8554/live?password=hidden&x=1")
    assert (address.username, address.password) == ("admin", "sec@ret")
    assert address.url == "rtsp://10.0.0.1:8554/live?password=hidden&x=1"
    assert address.label == "rtsp://10.0.0.1:8554/live"
    assert "ret" not in repr(address)
    assert "secret" not in repr(Login("u", "secret"))


@pytest.mark.parametrize(
    "url", ["http://h/", "rtsp:///x", "rtsp://h:99999/", "rtsp://u:geheim@h:port/", "rtsp://h/a b", "", "rtsp://[::1/"]
)
def test_addresses_that_are_none_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_address(url)
    assert "geheim" not in str(refused.value)
    assert refused.value.__cause__ is None
