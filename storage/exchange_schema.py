"""Declare the tables of messages with the port and of releases, beside those of `storage.schema`.

Projections say of which records; the others are working state, or bytes that records bind.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from storage.schema import METADATA

exchange_messages = Table(  # a projection of `message-in`, `message-out` and `delivery` records
    "exchange_messages", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("way", String(3), nullable=False),  # in, out
    Column("partner", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("form", String(8), nullable=False),
    Column("about", String(80), nullable=False),
    Column("reference", String(128), nullable=False),
    Column("state", String(10), nullable=False),  # in: taken, rejected; out: answer, queued, delivered, dead
    Column("attempts", Integer, nullable=False),
    Column("cause", BigInteger),
    Column("declaration", String(64)),
    Column("wall_ns", BigInteger, nullable=False),
    Column("done_ns", BigInteger),
    Index("exchange_messages_number", "partner", "way", "number", unique=True),
    Index("exchange_messages_sha256", "sha256"),
    Index("exchange_messages_state", "state", "partner", "number"),
    Index("exchange_messages_declaration", "declaration", "position"),
    Index("exchange_messages_cause", "cause"),
)  # fmt: skip

exchange_units = Table(  # what was taken under which reference; a projection of `message-in` records
    "exchange_units", METADATA,
    Column("partner", String(64), primary_key=True),
    Column("reference", String(256), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("position", BigInteger, nullable=False),
)  # fmt: skip

port_events = Table(  # what became of each event that messages told; a projection of `port-event` records
    "port_events", METADATA,
    Column("message", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),  # of its newest record
    Column("event", String(16), nullable=False),
    Column("container", String(16), nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("at", String(24), nullable=False),
    Column("declaration", String(64)),
    Column("place", String(64)),
    Column("wall_ns", BigInteger, nullable=False),
    Index("port_events_outcome", "outcome", "position"),
    Index("port_events_container", "container", "event"),
    Index("port_events_declaration", "declaration", "event"),
)  # fmt: skip

exchange_bodies = Table(  # raw bytes of messages, by the hash that their records bind
    "exchange_bodies", METADATA,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip

delivery_attempts = Table(  # working state: when a message is tried again, and why it was not taken
    "delivery_attempts", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("attempts", Integer, nullable=False),
    Column("next_ns", BigInteger, nullable=False),
    Column("fault", Text, nullable=False),
)  # fmt: skip

declared_boxes = Table(  # working state, made from sheets: which containers a declaration names; one row without any says it was read
    "declared_boxes", METADATA,
    Column("container", String(16), primary_key=True),
    Column("declaration", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Index("declared_boxes_position", "position"),
    Index("declared_boxes_declaration", "declaration"),
)  # fmt: skip

evaluations = Table(  # a projection of `evaluation` records
    "evaluations", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("declaration", String(64), nullable=False),
    Column("verdict", String(12), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("evaluations_declaration", "declaration", "position"),
)  # fmt: skip

releases = Table(  # a projection of `release` records
    "releases", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("declaration", String(64), nullable=False),
    Column("act", String(12), nullable=False),  # released, overridden, recalled
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("rule", String(80)),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("releases_declaration", "declaration", "position"),
    Index("releases_act", "act", "position"),
)  # fmt: skip

evidence_lists = Table(  # what a release rests on, line by line, by the root that its record binds
    "evidence_lists", METADATA,
    Column("root", LargeBinary(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip
