"""The inspector's phone in a real Chromium: offline, reloaded, killed in an upload, clock wrong, two phones on one question."""

import asyncio
import base64
import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from protocol.notes import Checkpoint, SignedCheckpoint, sign_checkpoint
from tests.browser_parts import FLAGS
from tests.phone_parts import WAIT_MS, Site, choose, draw_signature, fill_login, killable, log_in, open_site, phone, show

pytestmark = pytest.mark.browser
PHOTO = b"\xff\xd8\xff" + os.urandom(2_000_000)  # four parts


@pytest.fixture
async def site(tmp_path: Path, chromium: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, chromium) as found:
        yield found


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[Browser]:
    made = await site.playwright.chromium.launch(executable_path=str(site.program), args=FLAGS, headless=True)
    yield made
    await made.close()


async def work_offline(page: Page, context: BrowserContext, picture: Path) -> None:
    """Answer, photograph and sign with no network, through two reloads."""
    await context.set_offline(True)
    await expect(page.locator("phone-status")).to_contain_text(re.compile("Offline|离线"), timeout=WAIT_MS)
    await choose(page, "fruit-freshness", "fails")
    await show(page, "#i/core-temperature")
    await page.fill("[data-item=core-temperature] .work-number input", "13,5")
    await page.wait_for_selector("[data-item=core-temperature][data-kept]")
    await page.reload()  # not signed yet, no network: all of it is still there
    await expect(page.locator("[data-item=core-temperature] .work-number input")).to_have_value("13.5", timeout=WAIT_MS)
    await page.click("#record")
    await show(page, "#i/container-photo/CSQU3054383")
    await page.set_input_files("[data-take=photo]", picture)
    await page.wait_for_selector("figure[data-file]")
    await page.click("#record")
    await page.wait_for_function("() => !location.hash.includes('container-photo')")
    await show(page, "#sign")
    await page.click("[data-role=owner] button")
    await page.fill("[data-role=owner] input[name=signer]", "王经理")
    await draw_signature(page)
    await page.click("[data-role=owner] [data-take=signature]")
    await page.wait_for_selector("[data-role=owner] .work-ticks[data-state=phone]")
    await page.reload()
    await show(page, "#files")
    await expect(page.locator(".work-list .work-ticks[data-state=phone]")).to_have_count(6, timeout=WAIT_MS)


async def test_offline_reloaded_killed_in_an_upload_and_all_arrives_once(site: Site, tmp_path: Path) -> None:
    lead = site.team[0]
    picture = tmp_path / "box.jpg"
    picture.write_bytes(PHOTO)
    async with killable(site, tmp_path / "profile") as (context, process):
        page = await context.new_page()
        await log_in(site, page, lead)
        await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        await work_offline(page, context, picture)
        assert await site.acts() == []
        site.gate.parts = 2
        await context.set_offline(False)
        async with asyncio.timeout(60):
            await site.gate.held.wait()
        process.kill()  # in the middle of an upload
        await process.wait()
    site.gate.parts = 1_000_000
    site.gate.opened.set()
    async with killable(site, tmp_path / "profile") as (context, _):
        await context.clear_cookies()  # a browser writes them from time to time: its login is gone, or is not
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        await page.goto(f"{site.url}/work/{site.task}#files")
        await expect(page.locator("[data-act]")).to_have_count(4, timeout=WAIT_MS)  # there before anybody logged in; sending waits for it
        await page.click(".work-news button")
        await fill_login(page, lead)
        await expect(page.locator(".work-list .work-ticks[data-state=verified]")).to_have_count(2, timeout=WAIT_MS)  # the two files
        await expect(page.locator(".work-list .work-ticks:not([data-state=verified])")).to_have_count(0, timeout=WAIT_MS)
        await show(page, "#i/fruit-freshness")
        await expect(page.locator("question-card .work-ticks")).to_have_attribute("data-state", "verified", timeout=WAIT_MS)
    acts = await site.acts()
    assert [(act.kind, act.seq, act.chain, act.by) for act in acts] == [
        ("answers", 1, "", lead), ("answers", 2, "", lead), ("answers", 3, "", lead), ("signature", 4, "", lead),
    ]  # fmt: skip
    number, photo = (act.payload["answers"][0] for act in acts[1:3])
    assert number["value"] == "13.5" and number["dwell_ms"] > 0
    assert photo["value"] == [hashlib.sha256(PHOTO).hexdigest()]
    assert len(acts[3].payload["covers"]) == 3
    whole = await site.face.hub.fieldwork.site.show(site.task, lead)
    assert [(one.given.role, one.given.name, one.counts) for one in whole.signatures] == [("owner", "王经理", True)]
    state, path = await site.face.hub.files.open(hashlib.sha256(PHOTO).digest(), None)
    assert (state.state, await asyncio.to_thread(path.read_bytes)) == ("stored", PHOTO)


async def test_two_phones_on_one_question_are_both_kept_until_settled(site: Site, browser: Browser) -> None:
    lead, assistant = [await phone(site, browser, name) for name in site.team]
    await choose(lead, "fruit-freshness", "conforms")
    await choose(assistant, "fruit-freshness", "fails")
    for page in (lead, assistant):
        await show(page, "#i/fruit-freshness")
        await expect(page.locator("question-card .work-answer")).to_have_count(2, timeout=WAIT_MS)
        await expect(page.locator("question-card .notice.bad")).to_contain_text("Two answers differ")
        await expect(page.locator("question-card")).to_contain_text(site.team[1])
    await lead.get_by_role("button", name="Settle it").click()
    await lead.click("[data-item=fruit-freshness] [data-option=fails]")
    await lead.click("#record")
    await expect(lead.locator("question-card .small.bad").first).to_contain_text("needs a reason")
    await lead.fill("[data-item=fruit-freshness] textarea", "cut open: rotten inside")
    await lead.click("#record")
    await expect(assistant.locator("question-card .work-answer")).to_have_count(1, timeout=WAIT_MS)
    await expect(assistant.locator("question-card .work-answer")).to_contain_text("corrected: cut open: rotten inside")
    last = (await site.acts())[-1].payload["answers"][0]
    assert len(last["replaces"]) == 2 and last["reason"] == "cut open: rotten inside"


async def hand_over(page: Page, to: str) -> None:
    await show(page, "#more")
    await page.get_by_role("button", name="Hand over").click()
    for words in (to, "shift is over"):
        await page.fill("dialog textarea", words)
        await page.click("dialog button.primary")


async def test_a_refused_act_holds_nothing_up_and_a_false_receipt_is_never_green(site: Site, browser: Browser) -> None:
    page = await phone(site, browser, site.team[0], "const real = Date.now; Date.now = () => real() + 5 * 3600_000;")
    await expect(page.locator("phone-status")).to_contain_text("Clock fast by 5:00:0", timeout=WAIT_MS)
    await hand_over(page, "liu.yang")

    async def lie(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        if "path" in body:
            body["path"] = [base64.b64encode(bytes(32)).decode(), *body["path"][1:]]
        await route.fulfill(status=answer.status, json=body)

    await page.route("**/proof/*", lie)
    await choose(page, "fruit-freshness", "conforms")
    await show(page, "#files")
    await expect(page.locator("[data-act=hand-over] .notice.bad")).to_contain_text("liu.yang", timeout=WAIT_MS)
    await expect(page.locator("[data-act=answers]")).to_contain_text("proof does not hold", timeout=WAIT_MS)
    await expect(page.locator("[data-act=answers] .work-ticks")).to_have_attribute("data-state", "hub")
    await page.unroute("**/proof/*")
    await page.click("#send-now")
    await expect(page.locator("[data-act=answers]")).to_have_count(0, timeout=WAIT_MS)
    await expect(page.locator("phone-status")).to_contain_text("1 refused")
    value = {"display": "liu.yang", "qualifications": ["fruit"]}
    await site.face.hub.references.put("inspector", "liu.yang", value, "admin", "listed")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("[data-act]")).to_have_count(0, timeout=WAIT_MS)
    acts = await site.acts()
    assert [(act.kind, act.seq) for act in acts] == [("answers", 2), ("hand-over", 1)]
    await hand_over(page, "nobody")
    await show(page, "#files")
    await page.get_by_role("button", name="Leave it").click()
    await expect(page.locator("[data-act]")).to_have_count(0)
    await expect(page.locator("phone-status")).not_to_contain_text("refused")
    for act in acts:  # what the phone believed is kept; when it came, the hub says, and how far the clock was off
        assert act.phone_ms is not None and act.phone_ms - act.hub_ns // 1_000_000 > 4 * 3_600_000
        assert act.ahead_ms is not None and abs(act.ahead_ms - 5 * 3_600_000) < 120_000


async def test_a_file_of_no_bytes_is_not_kept_and_says_why(site: Site, browser: Browser) -> None:
    page = await phone(site, browser, site.team[0])
    await show(page, "#i/container-photo/CSQU3054383")
    await page.set_input_files("[data-take=photo]", {"name": "none.jpg", "mimeType": "image/jpeg", "buffer": b""})
    await expect(page.locator(".work-take [role=status]")).to_contain_text("nothing is in it", timeout=WAIT_MS)
    await expect(page.locator("figure[data-file]")).to_have_count(0)
    await expect(page.locator("phone-status")).to_contain_text("All sent", timeout=WAIT_MS)


async def test_the_rest_conforms_is_one_signed_act_that_lists_what_it_covers(site: Site, browser: Browser) -> None:
    page = await phone(site, browser, site.team[0])
    await show(page, "#list")
    assert await page.locator("[aria-checked=true], :checked").count() == 0
    await page.click("#rest")
    listed = await page.locator(".work-covered li").count()
    await page.click("dialog button.primary:enabled")
    await expect(page.locator("#rest")).to_have_count(0, timeout=WAIT_MS)
    await expect(page.locator("phone-status")).to_contain_text("All sent", timeout=WAIT_MS)
    acts = await site.acts()
    assert [act.kind for act in acts] == ["rest"]
    assert len(acts[0].payload["answers"]) == listed > 10


async def test_a_new_version_takes_over_whole_and_says_so(site: Site, browser: Browser) -> None:
    page = await phone(site, browser, site.team[0])
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    before = await page.evaluate("caches.keys()")
    site.gate.version = b"feedfeedfeedfeed"
    await page.evaluate("navigator.serviceWorker.ready.then((found) => found.update()).then(() => true)")
    await expect(page.locator(".work-news")).to_contain_text("A new version", timeout=WAIT_MS)
    assert len(before) == 1
    await expect_caches(page, ["portwitness-work-feedfeedfeedfeed"])
    await page.locator(".work-news button").click()
    await page.wait_for_selector("checklist-menu [data-section]")


async def expect_caches(page: Page, names: list[str]) -> None:
    wanted = "(names) => caches.keys().then((found) => JSON.stringify(found) === JSON.stringify(names))"
    await page.wait_for_function(wanted, arg=names)


FORGE = """
async ([person, task, forked]) => {
  const { openStore } = await import('/static/work/store.js');
  const { checkReceipt } = await import('/static/work/receipt.js');
  const acts = (await (await openStore(person)).ofTask('acts', task)).sort((one, other) => one.seq - other.seq);
  const get = (path) => fetch(`/api/v1/${path}`);
  const vkey = await (await get('log/vkey')).text();
  const [proof, second] = await Promise.all(acts.map(async (act) => (await get(`work/${task}/proof/${act.id}`)).json()));
  const [act] = acts;
  const other = btoa(String.fromCharCode(...new Uint8Array(32)));
  const unsigned = proof.checkpoint.replace(/\\n[^\\n]+\\n\\n/, `\\n${other}\\n\\n`);
  const cases = {
    good: [proof, act], 'of another act': [second, act], 'another text': [proof, {...act, text: act.text + ' '}],
    'another kind': [proof, {...act, kind: 'note'}], 'another number': [proof, {...act, seq: 7}],
    'another key': [proof, {...act, key: act.id + act.id}], 'another task': [proof, {...act, task: 'T-9'}],
    'another salt': [{...proof, salt: other}, act], 'no sheet': [{...proof, sheet: null}, act],
    'no record': [{...proof, record: btoa('abc')}, act],
    'another place': [{...proof, index: proof.index + 1}, act], 'outside': [{...proof, index: 1e9}, act],
    'short path': [{...proof, path: proof.path.slice(1)}, act], 'long path': [{...proof, path: [...proof.path, other]}, act],
    'not signed': [{...proof, checkpoint: unsigned}, act], 'another log': [{...proof, checkpoint: forked}, act],
  };
  const found = {};
  for (const [name, [proof, act]] of Object.entries(cases)) {
    found[name] = await checkReceipt(proof, act, vkey).then(() => 'holds', (error) => error.reason ?? error.message);
  }
  return found;
}
"""


async def test_a_receipt_of_another_act_or_log_proves_nothing(site: Site, browser: Browser) -> None:
    page = await phone(site, browser, site.team[0])
    await choose(page, "fruit-freshness", "conforms")
    await choose(page, "fruit-flies", "none")
    for item in ("fruit-freshness", "fruit-flies"):
        await show(page, f"#i/{item}")
        await page.wait_for_selector(".work-ticks[data-state=verified]")
    log = site.face.hub.log
    head = SignedCheckpoint.parse(await log.checkpoint()).checkpoint
    forked = sign_checkpoint(Checkpoint(head.origin, head.size, bytes(32)), log.signer).decode()
    found = await page.evaluate(FORGE, [site.team[0], site.task, forked])
    assert found.pop("good") == "holds"
    assert found.pop("another log") in ("forked", "behind", "unproven")
    assert found.pop("not signed") == "unsigned"
    paths = {name: found.pop(name) for name in ("another place", "outside", "short path", "long path")}
    assert set(paths.values()) <= {"path", "index"}, paths
    assert found.pop("no sheet") == "sheet"
    assert set(found.values()) == {"record"}, found


async def test_instructions_pauses_steps_and_tickets(site: Site, browser: Browser) -> None:
    lead = site.team[0]
    hub = site.face.hub
    await hub.supervision.instruct(site.task, "look near the door", "chen.min")
    page = await phone(site, browser, lead)
    await page.click(".work-head .notice")
    await expect(page.locator("[data-part=instructions]")).to_contain_text("look near the door")
    await page.get_by_role("button", name="I have read it").click()
    await expect(page.locator("[data-part=instructions] .badge.good")).to_be_visible(timeout=WAIT_MS)
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("button", name="Change of battery").click()
    await page.click("dialog button.primary")
    await expect(page.locator(".work-head")).to_contain_text("Paused")
    await page.get_by_role("button", name="Resume").click()
    await page.click("dialog button.primary:enabled")
    await expect(page.locator(".work-head")).not_to_contain_text("Paused")
    await page.get_by_role("button", name="Show the task's QR").click()
    await expect(page.locator("dialog img.qr")).to_be_visible(timeout=WAIT_MS)
    await page.click("dialog button:last-child")
    await page.get_by_role("button", name="Scan a recorder's code").click()
    await page.fill("dialog input", "nonsense")
    await page.click("dialog button.primary")
    await expect(page.locator("dialog .notice.bad")).to_contain_text("no code of a recorder")
    await page.get_by_role("button", name="Cancel").click()
    await show(page, "#list")
    await page.get_by_role("button", name="Scan to find").click()
    await page.fill("dialog input", "csqu3054383")
    await page.click("dialog button.primary")
    await page.wait_for_selector("question-card[data-at=CSQU3054383]")
    await show(page, "#list")
    await page.locator("[data-step=before-opening]").get_by_role("button", name="Begin").click()
    await page.click("dialog button.primary:enabled")
    await page.locator("[data-step=before-opening]").get_by_role("button", name="End").click()
    await expect(page.locator("dialog")).to_contain_text("It cannot be made up once the box is closed")
    await expect(page.locator("dialog .work-covered li").first).to_contain_text("Place")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("phone-status")).to_contain_text("All sent", timeout=WAIT_MS)
    acts = await site.acts()
    assert [(act.kind, act.payload.get("reason") or act.payload.get("event")) for act in acts] == [
        ("pause", "Change of battery"), ("resume", None), ("step", "start"),
    ]  # fmt: skip
    told = await hub.supervision.instructions(site.task)
    assert [one.read_by for one in told] == [lead]


async def test_who_left_with_no_network_is_logged_in_no_more(site: Site, browser: Browser) -> None:
    page = await phone(site, browser, site.team[0])
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await page.goto(f"{site.url}/work#person")
    await page.context.set_offline(True)
    await page.click("person-page button.danger")
    await page.click("dialog[open] button.primary")
    await page.wait_for_selector("login-form")
    assert await page.evaluate("localStorage.getItem('portwitness.work.left')") == site.team[0]
    await page.reload()
    await page.wait_for_selector("login-form")
    await page.context.set_offline(False)
    await page.reload()
    await page.wait_for_selector("login-form")
    await page.wait_for_function("() => localStorage.getItem('portwitness.work.left') === null")
    assert await page.evaluate("fetch('/api/v1/session').then((answer) => answer.status)") == 401
