"""Work through a task as an inspector (检务人员) does at anybody's hub: log in, take the task, pair a recorder, work its checklist, end.

Guarantees: only what a browser could send is sent (session cookie, CSRF token); each act is in the diary after the hub
confirmed it. A recorder is paired by choosing it on the page or by giving the task's short code to the recorder.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import MalformedError, PortwitnessError, RefusedError
from protocol.identifiers import StreamId
from simulators.people.api import HubApi, claim_by_code, hub_api
from simulators.people.checklist import STYLES, Style
from simulators.people.diary import Diary
from simulators.people.site_work import SiteWork
from simulators.people.tasks import add_caller, first_line, show
from storage.clock import SystemClock

EXAMPLE = """examples:
  portwitness-sim inspector --hub http://127.0.0.1:8080 --login li.wei --password-file pw.txt \\
      --recorder box-1/rec-1 --hold 60 --end --json
  portwitness-sim inspector --hub http://127.0.0.1:8080 --login li.wei --password-file pw.txt --task T-000123 \\
      --recorder box-1/rec-1 --checklist well --sign lead
  portwitness-sim inspector --hub http://127.0.0.1:8080 --login li.wei --password-file pw.txt --task T-000123 \\
      --recorder box-1/rec-1 --box-url http://127.0.0.1:8081 --recorder-token-file rec.txt
"""


@dataclass(slots=True)
class Inspector:
    """One inspector's hands on the hub's page."""

    api: HubApi
    name: str
    diary: Diary

    async def log_in(self, password: str) -> None:
        """Log in."""
        await self.api.login(self.name, password)
        self.diary.note("logged in")

    async def take(self, task: str | None = None) -> dict[str, Any]:
        """Take the named task, or the first open one this inspector is on; raise RefusedError when there is none."""
        if task is not None:
            found = await self.api.task(task)
        else:
            found = next((each for each in _listed(await self.api.call("GET", "/tasks")) if self._is_mine(each)), {})
        if not found:
            raise RefusedError(f"no open task names {self.name}", where="tasks")
        self.diary.note("took", task=found["task"])
        return found

    def _is_mine(self, task: dict[str, Any]) -> bool:
        return self.name in task.get("inspectors", ()) and task.get("state", "open") in ("open", "opened")

    async def pair(self, task: str, stream: str) -> None:
        """Pair a recorder by choosing it on the page."""
        await self.api.pair(task, StreamId(stream))
        self.diary.note("paired", task=task, stream=stream, way="chosen")

    async def pair_by_code(self, task: str, stream: str, box_url: str, token: str) -> None:
        """Show the task's short code to the recorder, which gives it to its box."""
        code = await self.api.code(task)
        await claim_by_code(box_url, StreamId(stream).source, token, code)
        self.diary.note("paired", task=task, stream=stream, way="code")

    async def work(self, task: str, style: Style, sign: Sequence[str], pause_s: float) -> None:
        """Work the task's checklist well, badly or dishonestly, sign it in some roles, and write down what was done wrong."""
        hands = await SiteWork.of(self.api, self.name, self.diary.clock)
        checklist = await hands.checklist(task, style)
        async for act in hands.work(checklist):
            self.diary.note("acted", task=task, kind=act.kind, id=act.id)
            await asyncio.sleep(pause_s)
        for role in sign:
            await hands.sign(checklist, role, self.name)
            self.diary.note("signed", task=task, role=role)
        for deed in checklist.deeds:
            self.diary.note("did wrong", task=task, what=deed.what, item=deed.item, at=deed.at)

    async def unpair(self, task: str, stream: str) -> None:
        """Free the recorder."""
        await self.api.unpair(task, stream)
        self.diary.note("unpaired", task=task, stream=stream)

    async def end(self, task: str) -> None:
        """End the task."""
        await self.api.end_task(task)
        self.diary.note("ended", task=task)


def _listed(answer: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return list(answer["tasks"] if isinstance(answer, dict) else answer)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim inspector` understands."""
    parser.epilog = EXAMPLE
    add_caller(parser)
    parser.add_argument("--task", help="task to take (default: the first open one that names this inspector)")
    parser.add_argument("--recorder", metavar="BOX/SOURCE", help="recorder to pair")
    parser.add_argument("--box-url", metavar="URL", help="pair by the short code, given to the box at this address")
    parser.add_argument("--recorder-token-file", type=Path, help="file with the recorder's token (with --box-url)")
    parser.add_argument("--hold", type=float, default=0.0, metavar="SECONDS", help="work so long between pairing and what follows")
    parser.add_argument("--checklist", choices=STYLES, help="work the task's checklist in this way; what is done wrong is in the ledger")
    parser.add_argument("--act-every", type=float, default=0.0, metavar="SECONDS", help="pause between acts of the checklist (default 0)")
    parser.add_argument("--sign", nargs="*", default=[], choices=("lead", "assistant", "owner"), help="sign it in these roles")
    parser.add_argument("--unpair", action="store_true", help="free the recorder afterwards")
    parser.add_argument("--end", action="store_true", help="end the task afterwards")


def run(args: argparse.Namespace) -> int:
    """Run `portwitness-sim inspector`; give the exit code."""
    try:
        diary = asyncio.run(_run(args))
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim inspector: {error}\n")
        return 1
    show(diary, as_json=args.json)
    return 0


async def _run(args: argparse.Namespace) -> Diary:
    if not args.login:
        raise MalformedError("--login is needed: an inspector has a name", where="arguments")
    password = first_line(args.password_file) or ""
    with Diary(SystemClock(), args.login, args.ledger) as diary:
        async with hub_api(args.hub, ca=args.ca) as api:
            inspector = Inspector(api, args.login, diary)
            await inspector.log_in(password)
            task = str((await inspector.take(args.task))["task"])
            await _work(inspector, task, args)
        return diary


async def _work(inspector: Inspector, task: str, args: argparse.Namespace) -> None:
    if args.recorder and args.box_url:
        await inspector.pair_by_code(task, args.recorder, args.box_url, first_line(args.recorder_token_file) or "")
    elif args.recorder:
        await inspector.pair(task, args.recorder)
    if args.checklist:
        await inspector.work(task, args.checklist, args.sign, args.act_every)
    await asyncio.sleep(args.hold)
    if args.recorder and args.unpair:
        await inspector.unpair(task, args.recorder)
    if args.end:
        await inspector.end(task)
