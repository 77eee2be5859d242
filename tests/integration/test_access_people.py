"""People at a real hub: passwords, lock-out, sessions, tokens, and the record of each change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.access import Access, PersonDraft, csrf_of, generate_password
from hub.lockout import LANE_PLACES, NAME_FREE, SPACING_S, Guess, Standing, check, wait_after
from protocol.errors import ForbiddenError, MalformedError, PortwitnessError, RefusedError
from protocol.instants import SECOND_NS
from storage.clock import SystemClock
from storage.database import Database
from tests.hub_parts import settings_for
from tests.web_parts import Face, open_face, password_of
from tests.webrtc_parts import until

ADDRESS = "192.0.2.7"
LOCK_S = 15 * 60


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        yield opened


@pytest.fixture
def access(face: Face) -> Access:
    return face.hub.access


async def fail(access: Access, name: str = "li.wei", address: str = ADDRESS) -> None:
    with pytest.raises(ForbiddenError, match="name or password is wrong"):
        await access.log_in(name, "wrong password", address)


async def test_a_session_lasts_while_it_is_used_and_is_not_kept_readable(face: Face, access: Access) -> None:
    session = await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    assert session.person.role == "inspector"
    assert session.token not in repr(session)
    assert session.csrf == csrf_of(session.token) != session.token
    for _ in range(3):
        face.clock.pass_time(400 * 60)
        found = await access.session(session.token)
        assert found is not None
        assert found.person.name == "li.wei"
    face.clock.pass_time(481 * 60)
    assert await access.session(session.token) is None
    database = (face.hub.core.settings.port.state / "hub.db").read_bytes()
    assert session.token.encode() not in database
    assert password_of("li.wei").encode() not in database


async def test_a_session_ends_by_logging_out_and_by_a_new_password(access: Access) -> None:
    one = await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    two = await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    await access.log_out(one.token)
    assert await access.session(one.token) is None
    assert await access.session(two.token) is not None
    fresh = await access.set_password("li.wei", "admin")
    assert fresh is not None
    assert await access.session(two.token) is None
    assert (await access.log_in("li.wei", fresh, ADDRESS)).person.name == "li.wei"


async def test_who_comes_from_outside_acts_for_one_party(face: Face, access: Access) -> None:
    trader, _ = await access.add(PersonDraft("he.ping", "trader", party="4403960001"), "admin")
    assert trader.party == "4403960001"
    for role, party, said in (
        ("trader", None, "is needed: an enterprise"),
        ("partner", None, "is needed: a partner"),
        ("inspector", "4403960001", "is not for the role inspector"),
        ("trader", "no such key", "is no key"),
        ("partner", "../etc", "is no key"),
    ):
        with pytest.raises(MalformedError, match=said):
            await access.add(PersonDraft("x.y", role, party=party), "admin")  # type: ignore[arg-type]
    assert (await access.change("he.ping", "admin", display="贺平")).party == "4403960001"
    assert (await access.change("he.ping", "admin", party="4403960002")).party == "4403960002"
    with pytest.raises(MalformedError, match="is needed: a partner"):
        await access.change("he.ping", "admin", role="partner")
    assert (await access.change("he.ping", "admin", role="partner", party="customs-1")).party == "customs-1"
    assert (await access.change("he.ping", "admin", role="inspector")).party is None
    assert await access.person("he.ping") == (await access.people())[3]
    told = [body.detail for body in await face.records("access") if body.act in ("added", "changed")]
    assert told[-5:] == [
        "trader of 4403960001",
        "display he.ping -> 贺平",
        "party 4403960001 -> 4403960002",
        "role trader -> partner, party 4403960002 -> customs-1",
        "role partner -> inspector, party customs-1 -> None",
    ]


async def test_guessing_is_slowed_then_locked_for_longer_each_time(face: Face, access: Access) -> None:
    for count in range(1, 6):
        await fail(access)
        face.clock.pass_time(wait_after(count, 5, LOCK_S * SECOND_NS) / SECOND_NS if count < 5 else 0)
    with pytest.raises(RefusedError, match="too many failures; try again in 900 s"):
        await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    face.clock.pass_time(LOCK_S)
    await fail(access)
    with pytest.raises(RefusedError, match="try again in 1800 s"):
        await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    assert (await access.log_in("wang.fang", password_of("wang.fang"), "198.51.100.9")).person.name == "wang.fang"
    face.clock.pass_time(2 * LOCK_S)
    assert (await access.log_in("li.wei", password_of("li.wei"), ADDRESS)).person.name == "li.wei"
    await fail(access)  # a success has cleared the count: no wait follows
    assert (await access.log_in("li.wei", password_of("li.wei"), ADDRESS)).person.name == "li.wei"


async def guess_from_everywhere(access: Access, count: int) -> None:
    for number in range(count):
        await fail(access, address=f"203.0.113.{number}")


async def test_strangers_do_not_lock_a_person_out(face: Face, access: Access) -> None:
    home, office = "198.51.100.9", "198.51.100.10"
    await access.log_in("li.wei", password_of("li.wei"), home)
    for count in range(1, 9):  # one stranger, as fast as they are let
        await fail(access)
        face.clock.pass_time(wait_after(count, 5, LOCK_S * SECOND_NS) / SECOND_NS)
    access.lanes.spacing_s = 0.01
    await guess_from_everywhere(access, 30)
    access.lanes.spacing_s = SPACING_S
    await fail(access, address="203.0.113.99")
    for address in (home, office):
        async with asyncio.timeout(5):
            assert (await access.log_in("li.wei", password_of("li.wei"), address)).person.name == "li.wei"


async def test_the_longest_lock_is_an_hour(face: Face, access: Access) -> None:
    for _ in range(20):
        await fail(access)
        face.clock.pass_time(3600)
    assert (await access.log_in("li.wei", password_of("li.wei"), ADDRESS)).person.name == "li.wei"


async def test_many_addresses_together_guess_no_faster_than_one_lane_lets_them(access: Access) -> None:
    access.lanes.spacing_s = 0.2
    await guess_from_everywhere(access, NAME_FREE)
    loop = asyncio.get_running_loop()
    began, passed = loop.time(), Counter[str]()

    async def guess(number: int) -> None:
        for _ in range(20):
            try:
                await access.log_in("li.wei", "wrong password", f"198.51.100.{number}")
            except PortwitnessError as error:
                passed[type(error).__name__] += 1
            if loop.time() - began > 1.5:
                return

    await asyncio.gather(*(guess(number) for number in range(40)))
    took_s = loop.time() - began
    assert 1 <= passed["ForbiddenError"] <= 1 + took_s / 0.2
    assert passed["RefusedError"] > 0


async def test_a_burst_from_many_addresses_gets_no_more_than_is_free(access: Access) -> None:
    access.lanes.spacing_s = 60
    guesses = [asyncio.create_task(access.log_in("li.wei", "wrong password", f"198.51.100.{number}")) for number in range(40)]
    done, waiting = await asyncio.wait(guesses, timeout=3)
    judged = [task for task in done if isinstance(task.exception(), ForbiddenError)]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(judged) == NAME_FREE + 1  # the first of the lane need not wait


async def test_who_never_failed_goes_before_those_who_did(access: Access) -> None:
    access.lanes.spacing_s = 0.3
    await guess_from_everywhere(access, NAME_FREE)
    await fail(access, address="198.51.100.99")  # opens the lane: the next must wait
    failed = [asyncio.create_task(access.log_in("li.wei", "wrong password", f"203.0.113.{number}")) for number in range(LANE_PLACES)]
    await until(lambda: sum(len(lane.waiting) for lane in access.lanes._lanes.values()) == LANE_PLACES, "the lane is full")
    assert (await access.log_in("li.wei", password_of("li.wei"), "198.51.100.7")).person.name == "li.wei"
    results = await asyncio.gather(*failed, return_exceptions=True)
    assert Counter(type(result).__name__ for result in results) == {"ForbiddenError": LANE_PLACES - 1, "RefusedError": 1}


async def test_what_was_counted_at_a_name_outlives_a_restart(tmp_path: Path) -> None:
    async with open_face(tmp_path) as face:
        await face.hub.access.log_in("li.wei", password_of("li.wei"), "198.51.100.9")
        await guess_from_everywhere(face.hub.access, NAME_FREE)
        for _ in range(3):
            await fail(face.hub.access, "wang.fang")
        kinds_rung = [alarm.kind for alarm in await face.hub.alarms.list()]
        assert kinds_rung == ["password guessed at"]
        acts = [(body.act, body.detail) for body in await face.records("access") if body.act == "slowed"]
        assert acts == [("slowed", f"{NAME_FREE} failures within a day, last from 203.0.113.9")]
    house_settings = settings_for(tmp_path)
    async with Database(house_settings.database_url) as database:
        now = SystemClock().now().wall_ns
        stranger, known = Guess.of("li.wei", "192.0.2.200"), Guess.of("li.wei", "198.51.100.9")
        assert await database.read(lambda connection: check(connection, stranger, now)) == Standing(slowed=True, fresh=True)
        assert await database.read(lambda connection: check(connection, known, now)) == Standing(slowed=False, fresh=True)
        with pytest.raises(RefusedError, match="try again in"):
            await database.read(lambda connection: check(connection, Guess.of("wang.fang", ADDRESS), now))


def test_what_one_subscriber_has_counts_as_one_address() -> None:
    assert Guess.of("li.wei", "2001:db8::1") == Guess.of("li.wei", "2001:db8::ffff:2")
    assert Guess.of("li.wei", "2001:db8:0:1::1") != Guess.of("li.wei", "2001:db8::1")
    assert Guess.of("li.wei", "::ffff:192.0.2.7") == Guess.of("li.wei", "192.0.2.7")
    assert Guess.of("li.wei", "192.0.2.8") != Guess.of("li.wei", "192.0.2.7")
    odd = Guess.of("name:\0%_" * 50, "unknown")
    assert all(len(key) <= 80 and key.isprintable() for key in (odd.pair, odd.address, odd.everywhere, odd.known))


async def test_a_new_password_forgets_what_was_counted(access: Access) -> None:
    for _ in range(3):
        await fail(access)
    fresh = await access.set_password("li.wei", "admin")
    assert fresh is not None
    assert (await access.log_in("li.wei", fresh, ADDRESS)).person.name == "li.wei"


async def test_an_address_is_locked_whatever_names_it_tries(face: Face, access: Access) -> None:
    for count in range(1, 21):
        await fail(access, f"guess{count}")
        face.clock.pass_time(wait_after(count // 4, 5, 0) / SECOND_NS if count < 20 else 0)
    with pytest.raises(RefusedError, match="too many failures"):
        await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    assert (await access.log_in("li.wei", password_of("li.wei"), "198.51.100.9")).person.name == "li.wei"


async def test_a_disabled_person_is_out_at_once(access: Access) -> None:
    session = await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    token = await access.make_token("li.wei", "script", 1, "admin")
    assert (await access.by_token(token.token)) is not None
    await access.change("li.wei", "admin", disabled=True)
    assert await access.session(session.token) is None
    assert await access.by_token(token.token) is None
    with pytest.raises(ForbiddenError):
        await access.log_in("li.wei", password_of("li.wei"), ADDRESS)


async def test_tokens_end_by_time_and_by_hand(face: Face, access: Access) -> None:
    one, two = [await access.make_token("admin", label, 2, "admin") for label in ("one", "two")]
    assert {token.label for token in await access.tokens()} == {"one", "two"}
    assert all(not token.token for token in await access.tokens())
    await access.revoke_token(one.id, "admin")
    assert await access.by_token(one.token) is None
    assert (await access.by_token(two.token)) is not None
    face.clock.pass_time(2 * 86_400 + 1)
    assert await access.by_token(two.token) is None
    with pytest.raises(RefusedError, match="is not known"):
        await access.revoke_token(one.id, "admin")


async def test_the_last_administrator_stays(access: Access) -> None:
    with pytest.raises(RefusedError, match="the last administrator must stay"):
        await access.change("admin", "admin", role="inspector")
    with pytest.raises(RefusedError, match="the last administrator must stay"):
        await access.change("admin", "admin", disabled=True)
    await access.change("chen.min", "admin", role="administrator")
    assert (await access.change("admin", "chen.min", role="inspector")).role == "inspector"


async def test_people_are_added_once_with_a_password_worth_the_name(access: Access) -> None:
    person, password = await access.add(PersonDraft("sun.li", "inspector"), "admin")
    assert password is not None
    assert (await access.log_in("sun.li", password, ADDRESS)).person == person
    with pytest.raises(RefusedError, match="already known"):
        await access.add(PersonDraft("sun.li", "inspector"), "admin")
    with pytest.raises(MalformedError, match="at least 10"):
        await access.add(PersonDraft("ma.hong", "inspector", password="short"), "admin")
    with pytest.raises(MalformedError, match="person id"):
        await access.add(PersonDraft("Ma Hong", "inspector"), "admin")
    assert len({generate_password() for _ in range(100)}) == 100


async def test_every_change_is_a_record_of_the_hub(face: Face, access: Access) -> None:
    session = await access.log_in("li.wei", password_of("li.wei"), ADDRESS)
    await access.log_out(session.token)
    await access.change("li.wei", "admin", role="supervisor")
    await access.set_password("li.wei", "admin")
    token = await access.make_token("li.wei", "script", 1, "admin")
    await access.revoke_token(token.id, "admin")
    for _ in range(5):
        await asyncio.gather(fail(access), return_exceptions=True)
        face.clock.pass_time(60)
    bodies = [body for body in await face.records("access") if body.by != "hub:hub-1" or body.act != "added"]
    told = [(body.act, body.by) for body in bodies]
    assert told == [
        ("logged in", "li.wei"), ("logged out", "li.wei"), ("changed", "admin"), ("password set", "admin"), ("token made", "admin"),
        ("token revoked", "admin"), ("locked", "hub:hub-1"),
    ]  # fmt: skip
    assert not any(password_of("li.wei") in body.detail or token.token in body.detail for body in bodies)
