"""Declare the tables of credit, rule sets and samples, beside those of `storage.schema`. All are projections of the records they name."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from storage.schema import METADATA

credit_events = Table(  # what is on record of enterprises
    "credit_events", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("enterprise", String(64), nullable=False),
    Column("item", String(64), nullable=False),
    Column("day", String(10), nullable=False),
    Column("expires", String(10)),
    Column("points", Integer),
    Column("facts", Text, nullable=False),  # JSON, figures by name
    Column("rule", String(80)),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("credit_events_enterprise", "enterprise", "position"),
)  # fmt: skip

credit_appeals = Table(  # appeals against them, and what was decided
    "credit_appeals", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event", BigInteger, nullable=False),
    Column("enterprise", String(64), nullable=False),
    Column("act", String(12), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("credit_appeals_event", "event", "position"),
    Index("credit_appeals_enterprise", "enterprise", "position"),
    Index("credit_appeals_act", "act", "position"),
)  # fmt: skip

rule_sets = Table(  # rule sets of credit and of sampling; the document stands in the record
    "rule_sets", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("family", String(16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective", String(10), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("rule_sets_key", "family", "key", "version", unique=True),
)  # fmt: skip

sample_acts = Table(  # every act on a sample
    "sample_acts", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("sample", String(80), nullable=False),
    Column("declaration", String(64), nullable=False),
    Column("act", String(12), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("sample_acts_sample", "sample", "position"),
)  # fmt: skip

samples = Table(  # where each sample stands
    "samples", METADATA,
    Column("sample", String(80), primary_key=True),
    Column("declaration", String(64), nullable=False),
    Column("state", String(12), nullable=False),  # its newest act
    Column("laboratory", String(64)),
    Column("sound", Boolean),
    Column("verdict", String(8)),
    Column("report", LargeBinary(32)),
    Column("drawn_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("samples_declaration", "declaration", "sample"),
    Index("samples_drawn", "drawn_ns"),
    Index("samples_laboratory", "laboratory", "drawn_ns"),
)  # fmt: skip
