"""Take declarations at a hub, against bare inserts of the very rows that it wrote, one transaction for each declaration.

The hub: bytes of JSON are read, every field and rule of the form checked, the sheet salted and hashed, the number given, the record signed
and put into the log with its projections, committed (`synchronous=FULL`), the checkpoint signed and published; only then the trader has an
answer. `--traders` ask at a time. Workers that accept and screen do not run: this is intake alone. The peer: the driver's own cursor puts
the same rows of the same tables, with the same indexes and settings, into an empty database, begin and commit around each declaration; it
checks, hashes and signs nothing. Rounds in turn, medians.

    python -m benchmarks.intake --json [--url postgresql+psycopg://...]     the database named is emptied
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Dialect, Table, create_engine, delete, select

from benchmarks.processes import note, scratch
from hub.alarms import Alarms
from hub.config import DatabaseSettings, HubSettings, MqttSettings, PortSettings
from hub.core import Core
from hub.events import Events
from hub.inspection.declarations import Declarations
from hub.sequencer import Sequencer
from protocol.identifiers import SiteId
from protocol.signatures import Ed25519Signer
from storage import schema
from storage.clock import SystemClock
from storage.database import Database
from storage.logs import LogFolder
from web.reading import read_json

GOAL = 0.3
ROUNDS = 3
WARM = 64
TABLES = (schema.sheets, schema.declarants, schema.records, schema.leaves, schema.declaration_steps, schema.standings)


def forms(lines: int) -> Iterator[bytes]:
    """Give declarations of a container of fruit, each with a reference of its own, as they come over the wire."""
    today = datetime.now(UTC).date()
    day = [(today + timedelta(days=ahead)).isoformat() for ahead in (-10, 2, 80)]
    voyage = {"vessel": "SIM DALIAN", "imo": "9074729", "voyage": "055N", "loading": "THLCH", "discharge": "CNDLC", "arrival": day[1]}
    goods = {
        "hs": "0810600000", "name": "鲜榴莲 fresh durian", "origin": "TH", "weight_kg": "18432.5", "packages": 960, "package_kind": "CT",
        "quantity": "18432.5", "unit": "KGM", "value": "92162.5", "currency": "USD", "containers": ["CSQU3054383"],
    }  # fmt: skip
    value: dict[str, Any] = {
        "trade": "import", "enterprise": "91210200MA0SIM001X", "bill": "SIMU2609000001", "destination": "大连市", "voyage": voyage,
        "consignor": {"name": "Siam Orchards Co., Ltd.", "country": "TH"},
        "consignee": {"name": "大连示范果品有限公司", "country": "CN", "code": "91210200MA0SIM001X"},
        "containers": [{"number": "CSQU3054383", "type": "45R1", "seals": ["SH123456"], "reefer": True}],
        "goods": [goods | {"line": line} for line in range(1, lines + 1)],
        "permits": [{"kind": "phytosanitary", "number": "TH-PC-4711", "issued": day[0], "expires": day[2], "lines": [1]}],
    }  # fmt: skip
    for number in count():
        yield json.dumps(value | {"reference": f"SO-{number:07d}"}, ensure_ascii=False).encode()


async def take(settings: HubSettings, declarations: int, traders: int, lines: int) -> dict[str, float]:
    """Lodge declarations at a hub that starts empty; give declarations a second, CPU of each and the median answer in ms."""
    clock, events = SystemClock(), Events()
    folder = LogFolder(Path(settings.port.state) / "log")
    coming = forms(lines)
    async with Database(settings.database_url) as database:
        database.write_now(lambda connection: [connection.execute(delete(table)) for table in reversed(schema.METADATA.sorted_tables)])
        signer = Ed25519Signer.of(Ed25519PrivateKey.generate())
        async with Sequencer(settings, clock, database, signer, folder) as sequencer:
            house = Declarations(Core(settings, clock, database, sequencer, Alarms(database, clock, events), events))
            answers: list[float] = []

            async def trader(share: int) -> None:
                for _ in range(share):
                    began = time.perf_counter()
                    await house.lodge(read_json(next(coming)), "trader.wu")
                    answers.append((time.perf_counter() - began) * 1000)

            await asyncio.gather(*(trader(WARM // traders + 1) for _ in range(traders)))
            answers.clear()
            began, used = time.perf_counter(), time.process_time()
            await asyncio.gather(*(trader(declarations // traders) for _ in range(traders)))
            took, used = time.perf_counter() - began, time.process_time() - used
    return {"hub_per_s": len(answers) / took, "hub_cpu_ms": used / len(answers) * 1000, "answer_ms": statistics.median(answers)}


def rows_of(url: str, declarations: int) -> list[list[tuple[str, tuple[Any, ...]]]]:
    """Give for each of the newest declarations the statements that put its rows."""
    engine = create_engine(url)
    found = []
    with engine.connect() as connection:
        steps = connection.execute(
            select(schema.declaration_steps).order_by(schema.declaration_steps.c.position.desc()).limit(declarations)
        )
        for step in steps.all():
            keys = {"sheets": ("commitment", step.sheet), "declarants": ("declaration", step.declaration)}
            keys |= {"standings": ("declaration", step.declaration)}
            one = []
            for table in TABLES:
                column, key = keys.get(table.name, ("position", step.position))
                row = connection.execute(select(table).where(table.c[column] == key)).one()
                one.append((_statement(table, engine.dialect), tuple(row)))
            found.append(one)
    engine.dispose()
    return found[::-1]


def _statement(table: Table, dialect: Dialect) -> str:
    marks = ", ".join(["?" if dialect.name == "sqlite" else "%s"] * len(table.columns))
    return f"INSERT INTO {table.name} ({', '.join(column.name for column in table.columns)}) VALUES ({marks})"


def put_bare(url: str, found: list[list[tuple[str, tuple[Any, ...]]]]) -> dict[str, float]:
    """Insert the rows by the driver alone, a transaction for each declaration; give declarations a second, and CPU of each in ms."""
    database = Database(url)
    database.open()
    database.write_now(lambda connection: [connection.execute(delete(table)) for table in reversed(schema.METADATA.sorted_tables)])
    assert database._writer is not None  # the same connection settings as the hub's
    connection = database._writer.raw_connection()
    cursor = connection.cursor()
    is_sqlite = database.dialect == "sqlite"
    began, used = time.perf_counter(), time.process_time()
    for one in found:
        if is_sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        for statement, values in one:
            cursor.execute(statement, values)
        cursor.execute("COMMIT") if is_sqlite else connection.commit()
    took, used = time.perf_counter() - began, time.process_time() - used
    cursor.close()
    connection.close()
    database.close()
    return {"bare_per_s": len(found) / took, "bare_cpu_ms": used / len(found) * 1000}


def settings_for(state: Path, url: str) -> HubSettings:
    """Give the settings of a hub with its usual pace."""
    port = PortSettings(site=SiteId("dayaowan"), state=state)
    return HubSettings(port=port, database=DatabaseSettings(url=url), mqtt=MqttSettings(broker="none"))


def round_of(folder: Path, url: str, args: argparse.Namespace) -> dict[str, float]:
    """Measure both sides once, the hub first: the peer inserts what it wrote."""
    settings = settings_for(folder, url)
    sides = asyncio.run(take(settings, args.declarations, args.traders, args.lines))
    found = rows_of(settings.database_url, args.declarations)
    sides |= put_bare(url or f"sqlite:///{folder}/bare.db", found)
    sides["ratio"] = sides["hub_per_s"] / sides["bare_per_s"]
    return {name: round(value, 3) for name, value in sides.items()}


def main() -> int:
    """Run the benchmark; give 1 when it misses its goal."""
    parser = argparse.ArgumentParser(prog="./run bench intake", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--declarations", type=int, default=2000, help="in a round")
    parser.add_argument("--traders", type=int, default=64, help="who ask at a time")
    parser.add_argument("--lines", type=int, default=1, help="goods lines of each")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--url", default="", help="an empty database of its own, e.g. of PostgreSQL; SQLite in a file when not given")
    args = parser.parse_args()
    rounds = []
    for number in range(args.rounds):
        with scratch("intake") as folder:
            rounds.append(round_of(folder, args.url, args))
        note(f"round {number + 1}: {rounds[-1]}")
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    answer = {
        "bench": "intake",
        **middle,
        "traders": args.traders,
        "lines": args.lines,
        "goal": GOAL,
        "met": middle["ratio"] >= GOAL,
        "rounds": rounds,
    }
    print(json.dumps(answer) if args.json else "\n".join(f"{name}: {value}" for name, value in answer.items()))
    return 0 if answer["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
