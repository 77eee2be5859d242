"""Describe the tables of work on site: tasks of inspections, keys of phones, signed acts, tickets; all else stands in `storage.schema`."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from storage.schema import METADATA

inspection_tasks = Table(  # a projection of `task` records: those that were opened for a declaration
    "inspection_tasks", METADATA,
    Column("task", String(64), primary_key=True),
    Column("declaration", String(64), nullable=False),
    Column("procedure", String(64), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),  # of the procedure that it began with
    Column("position", BigInteger, nullable=False),
    Index("inspection_tasks_declaration", "declaration", "position"),
)  # fmt: skip

device_keys = Table(  # a projection of `device-key` records
    "device_keys", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(32), nullable=False),
    Column("state", String(8), nullable=False),
    Column("spki", LargeBinary, nullable=False),
    Column("until_ns", BigInteger),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("device_keys_key", "key", "position"),
)  # fmt: skip

work_acts = Table(  # a projection of `work` records
    "work_acts", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(64), nullable=False),
    Column("act", String(12), nullable=False),
    Column("id", LargeBinary(16), nullable=False, unique=True),
    Column("key", LargeBinary(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("ahead_ms", BigInteger),
    Column("wall_ns", BigInteger, nullable=False),
    Index("work_acts_task", "task", "position"),
)  # fmt: skip

system_notes = Table(  # a projection of `system-note` records
    "system_notes", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("declaration", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("system_notes_declaration", "declaration", "position"),
)  # fmt: skip

tickets = Table(  # a projection of `ticket` records
    "tickets", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(64), nullable=False),
    Column("nonce", LargeBinary(16), nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("by", String(40), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("tickets_task", "task", "position"),
)  # fmt: skip

task_people = Table(  # working state, made from sheets: to whom a task was handed over
    "task_people", METADATA,
    Column("task", String(64), primary_key=True),
    Column("person", String(40), primary_key=True),
    Index("task_people_person", "person"),
)  # fmt: skip

act_files = Table(  # working state, made from sheets: which files each act names
    "act_files", METADATA,
    Column("act", LargeBinary(16), primary_key=True),
    Column("file", LargeBinary(32), primary_key=True),
    Index("act_files_file", "file"),
)  # fmt: skip

act_links = Table(  # working state, made from sheets: how each act stands in its phone's chain
    "act_links", METADATA,
    Column("act", LargeBinary(16), primary_key=True),
    Column("key", LargeBinary(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("text_hash", String(64), nullable=False),
    Index("act_links_key", "key", "seq"),
)  # fmt: skip
