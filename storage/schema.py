"""Describe the hub's tables.

Three sorts: *truth* (records and the logs over them), *projections* (rebuilt by replaying the truth; `fsck` compares), and
*working state* (drafts, commands, alarms). Each part of the hub adds its tables in a section of its own and with a migration
of its own, so that parts can be read apart.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

METADATA = MetaData()
CUSTODY_KINDS = text("kind IN ('export', 'keeping')")  # a query must say it with these words to use the index
HUB_EPOCH = text("epoch = 0")  # the hub's own records have no other
_Row = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER PRIMARY KEY

# ---------------------------------------------------------------------------------------------- truth: records and logs

records = Table(
    "records", METADATA,
    Column("issuer", String(48), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("records_custody", "subject", sqlite_where=CUSTODY_KINDS, postgresql_where=CUSTODY_KINDS),
    Index("records_subject", "subject", "position", sqlite_where=HUB_EPOCH, postgresql_where=HUB_EPOCH),
    sqlite_with_rowid=False,
)  # fmt: skip

journals = Table(
    "journals", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("session", LargeBinary),
    Column("session_until_ns", BigInteger, nullable=False, default=0),
    Column("last_mono_ns", BigInteger, nullable=False, default=0),
    Column("sealed", BigInteger, nullable=False, default=0),
    Column("sealed_frontier", LargeBinary, nullable=False, default=b""),  # the tree's frontier at `sealed`
    Column("usage", String(8), nullable=False, default="live", server_default="live"),  # of the session in force
    Column("counter", BigInteger),  # of the newest seal that had one, here or in an epoch before
    Column("previous_epoch", BigInteger),
    Column("previous_size", BigInteger),
    Column("previous_root", LargeBinary(32)),
)  # fmt: skip

checkpoints = Table(  # earlier published checkpoints of the port log, about one a second, with their cosignatures
    "checkpoints", METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
)  # fmt: skip

leaves = Table(  # the port log: which record each leaf is
    "leaves", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("issuer", String(48), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("record_position", BigInteger, nullable=False),
    Index("leaves_record", "issuer", "epoch", "record_position", unique=True),
    ForeignKeyConstraint(["issuer", "epoch", "record_position"], ["records.issuer", "records.epoch", "records.position"]),
)  # fmt: skip

tile_roots = Table(  # hashes of full tiles: entry `index` of tile level `level` (1 and up)
    "tile_roots", METADATA,
    Column("log", String(80), primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

openings = Table(  # salts and bodies of concealed records; erasing one leaves its row in `concealed`
    "openings", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),  # leaf of the port log
    Column("opening", LargeBinary, nullable=False),
)  # fmt: skip

sheets = Table(  # what records of the inspection bind by a salted hash; erasing one leaves the records
    "sheets", METADATA,
    Column("commitment", LargeBinary(32), primary_key=True),
    Column("salt", LargeBinary(32), nullable=False),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip

log_state = Table(
    "log_state", METADATA,
    Column("name", String(80), primary_key=True),
    Column("lease", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------- working state

staged = Table(  # what waits for the sequencer: drafts of hub records (body) and signed seals (data)
    "staged", METADATA,
    Column("id", _Row, primary_key=True, autoincrement=True),
    Column("kind", String(24), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("mono_ns", BigInteger, nullable=False),
    Column("sync", String(10), nullable=False),
    Column("error_ms", BigInteger),
    Column("body", LargeBinary),
    Column("box", String(32)),
    Column("epoch", BigInteger),
    Column("position", BigInteger),
)  # fmt: skip

blobs = Table(
    "blobs", METADATA,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("box", String(32), nullable=False),
    Column("state", String(12), nullable=False),  # quarantine, stored, refused, disposing, disposed
    Column("at_ns", BigInteger, nullable=False),
    Column("logged", Boolean, nullable=False, default=False),  # a Stored record names it
    Index("blobs_state", "state", "logged", "box"),
)  # fmt: skip

commands = Table(  # what a box was told and has not answered
    "commands", METADATA,
    Column("command", String(64), primary_key=True),
    Column("box", String(32), nullable=False),
    Column("state", String(10), nullable=False),  # pending, done, refused
    Column("data", LargeBinary, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Index("commands_box", "box", "state"),
)  # fmt: skip

alarms = Table(
    "alarms", METADATA,
    Column("id", _Row, primary_key=True, autoincrement=True),
    Column("kind", String(40), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_ns", BigInteger, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("acknowledged_by", String(40)),
    Column("acknowledged_ns", BigInteger),
    Column("evidence", LargeBinary),
    Index("alarms_open", "acknowledged_ns", "kind", "subject"),
)  # fmt: skip

pairing_codes = Table(  # short codes of open tasks; they live for minutes
    "pairing_codes", METADATA,
    Column("digest", LargeBinary(32), primary_key=True),  # HMAC under a key that is not in the database
    Column("task", String(64), nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)  # fmt: skip

# --------------------------------------------------------------------------------------- projections of box journals

sessions = Table(
    "sessions", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(32), nullable=False),
)  # fmt: skip

streams = Table(
    "streams", METADATA,
    Column("stream", String(65), primary_key=True),
    Column("box", String(32), nullable=False),
    Column("origin", String(8), nullable=False),  # rtsp, whip, import; the newest recording's
    Column("last_number", BigInteger),
    Column("longest_segment_ns", BigInteger, nullable=False),
    Column("longest_gap_ns", BigInteger, nullable=False),
)  # fmt: skip

segments = Table(
    "segments", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", String(65), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("wall_from", BigInteger, nullable=False),
    Column("wall_to", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("media_from", BigInteger, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("bound", BigInteger),
    Index("segments_stream", "stream", "wall_from"),
    Index("segments_number", "stream", "number"),
    Index("segments_sha256", "sha256"),
)  # fmt: skip

gaps = Table(
    "gaps", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", String(65), nullable=False),
    Column("cause", String(24), nullable=False),
    Column("detail", Text, nullable=False),
    Column("wall_from", BigInteger, nullable=False),
    Column("wall_to", BigInteger, nullable=False),
    Index("gaps_stream", "stream", "wall_from"),
)  # fmt: skip

stream_hours = Table(  # what the segments and gaps of a stream come to in each hour of the box's wall clock
    "stream_hours", METADATA,
    Column("stream", String(65), primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # hours since 1970
    Column("recorded_ns", BigInteger, nullable=False),
    Column("gap_ns", BigInteger, nullable=False),
    Column("pieces", Integer, nullable=False),  # that begin in it
    sqlite_with_rowid=False,
)  # fmt: skip

recordings = Table(
    "recordings", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", String(65), nullable=False),
    Column("state", String(10), nullable=False),
    Column("cause", Text, nullable=False),
    Column("origin", String(8), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("recordings_stream", "stream", "wall_ns"),
)  # fmt: skip

seals = Table(
    "seals", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),  # a receipt under this seal covers [first, position)
    Column("left", LargeBinary, nullable=False),  # the tree's frontier at `first`: the left half of the range proof
    Column("log_index", BigInteger),
    Column("delivered", Boolean, nullable=False, default=False),  # working state: the receipt was handed to the box
    Index("seals_delivered", "box", "delivered", "log_index"),
    Index("seals_logged", "box", "epoch", "log_index"),
)  # fmt: skip

bonds = Table(  # pairings as the box's own records tell them: these count
    "bonds", METADATA,
    Column("box", String(32), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(64), nullable=False),
    Column("stream", String(65), nullable=False),
    Column("state", String(10), nullable=False),
    Column("by", String(40), nullable=False),
    Column("order_leaf", LargeBinary(32)),
    Column("late_from", BigInteger),
    Column("wall_ns", BigInteger, nullable=False),
    Index("bonds_task", "task", "wall_ns"),
    Index("bonds_stream", "stream", "wall_ns"),
)  # fmt: skip

# ----------------------------------------------------------------------------------------- projections of hub records

identities = Table(  # identity keys of boxes, by enrolment records: `until` None while it counts
    "identities", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("box", String(32), nullable=False),
    Column("spki", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("until", BigInteger),
    Index("identities_box", "box"),
)  # fmt: skip

tasks = Table(
    "tasks", METADATA,
    Column("task", String(64), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("title", Text, nullable=False),
    Column("site", String(32), nullable=False),
    Column("bay", String(32)),
    Column("by", String(40), nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("opened_at", BigInteger, nullable=False),  # leaf index of the opening
    Column("ended_at", BigInteger),
    Column("inspectors", Text, nullable=False),  # JSON lists
    Column("cameras", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Index("tasks_state", "state", "opened_ns"),
    Index("tasks_ended", "ended_at"),
)  # fmt: skip

orders = Table(  # pairing orders of the hub; they count when the box's record names their leaf
    "orders", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary(32), nullable=False, unique=True),
    Column("task", String(64), nullable=False),
    Column("stream", String(65), nullable=False),
    Column("state", String(10), nullable=False),
    Column("by", String(40), nullable=False),
    Column("late_from", BigInteger),
    Column("second", String(40)),
    Column("reason", Text),
    Column("wall_ns", BigInteger, nullable=False),
    Index("orders_task", "task"),
    Index("orders_stream", "stream", "position"),
)  # fmt: skip

equivocations = Table(
    "equivocations", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("issuer", String(48), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("record_position", BigInteger, nullable=False),
    Column("other_leaf", LargeBinary(32), nullable=False),
    Index("equivocations_record", "issuer", "epoch", "record_position"),
)  # fmt: skip

time_tokens = Table(
    "time_tokens", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("authority", String(200), nullable=False),
)  # fmt: skip

heads_seen = Table(  # heads of box journals that were brought by hand
    "heads_seen", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("box", String(32), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("heads_seen_box", "box", "epoch"),
)  # fmt: skip

views = Table(
    "views", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("view", String(64), nullable=False),
    Column("state", String(10), nullable=False),
    Column("viewer", String(64), nullable=False),
    Column("way", String(10), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("views_subject", "subject", "wall_ns"),
    Index("views_view", "view", "state"),
)  # fmt: skip

keepings = Table(  # how long a task's video is kept; a task without a row is kept by the class of linked video
    "keepings", METADATA,
    Column("task", String(64), primary_key=True),
    Column("kept_as", String(40)),
    Column("held", Boolean, nullable=False),
    Column("position", BigInteger, nullable=False),
)  # fmt: skip

disposals = Table(  # blobs whose bytes were removed by rule
    "disposals", METADATA,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("position", BigInteger, nullable=False),
)  # fmt: skip

concealed = Table(  # every concealed record, by what the log itself says; `disposal`: the leaf that says its body was erased
    "concealed", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("of", String(24), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("disposal", BigInteger),
    Index("concealed_kept", "disposal", "wall_ns"),
    Index("concealed_subject", "subject", "wall_ns"),
)  # fmt: skip

port_heads = Table(  # the newest checkpoint of each port, at a national hub
    "port_heads", METADATA,
    Column("origin", String(128), primary_key=True),
    Column("position", BigInteger, nullable=False),  # its leaf here
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
)  # fmt: skip

declaration_steps = Table(  # every act, step and hold of a declaration, by the record that says so
    "declaration_steps", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("declaration", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("act", String(24), nullable=False),  # what was done to it, the state reached, or whether a hold was placed or lifted
    Column("version", Integer),
    Column("authority", String(40)),
    Column("rule", String(80)),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("declaration_steps_declaration", "declaration", "position"),
)  # fmt: skip

standings = Table(  # where each declaration stands by all its records
    "standings", METADATA,
    Column("declaration", String(64), primary_key=True),
    Column("state", String(24), nullable=False),
    Column("version", Integer, nullable=False),
    Column("selected", Boolean, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("holds", Text, nullable=False),  # JSON list of other authorities
    Column("lodged_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("standings_state", "state", "lodged_ns"),
    Index("standings_lodged", "lodged_ns"),
)  # fmt: skip

draws = Table(  # a projection of `draw-call`, `draw-closing` and `draw-result` records
    "draws", METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(32), nullable=False),
    Column("state", String(12), nullable=False),  # called, closed, drawn, fallen back
    Column("closes_ns", BigInteger, nullable=False),
    Column("policy", LargeBinary(32), nullable=False),
    Column("chain", LargeBinary(32), nullable=False),
    Column("called_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_ns", BigInteger),
    Column("root", LargeBinary(32)),
    Column("entries", Integer),
    Column("inspectors", Integer),
    Column("drawn_at", BigInteger),
    Column("seed", LargeBinary(32)),
    Column("selected", Integer),
    Column("result", LargeBinary(32)),
)  # fmt: skip

draw_policies = Table(  # a projection of `draw-policy` records
    "draw_policies", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("rules", String(128), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
)  # fmt: skip

draw_acts = Table(  # a projection of `draw-act` records
    "draw_acts", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", String(128), nullable=False),
    Column("act", String(12), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("draw_acts_subject", "subject", "position"),
)  # fmt: skip

draw_documents = Table(  # pools, results and closings' checkpoints, by the hash that a record binds
    "draw_documents", METADATA,
    Column("name", LargeBinary(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip

reference_entries = Table(  # every version of the managed reference data, by the record that says so
    "reference_entries", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("category", String(16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("newest", Boolean, nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("reference_entries_key", "category", "key", "version", unique=True),
    Index("reference_entries_newest", "category", "newest", "key"),
)  # fmt: skip

procedure_acts = Table(  # what was done with each version of each operating procedure
    "procedure_acts", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("act", String(12), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("effective", String(10), nullable=False),
    Column("until", String(10)),
    Column("rule", String(80)),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("procedure_acts_key", "key", "version"),
    Index("procedure_acts_sha256", "sha256"),
)  # fmt: skip

procedure_documents = Table(  # procedures as canonical JSON, by the hash that a record binds
    "procedure_documents", METADATA,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip

rule_acts = Table(  # what was done with each version of each targeting rule; the rule stands in the sheet of its proposal
    "rule_acts", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("act", String(12), nullable=False),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("rule_acts_key", "key", "version"),
)  # fmt: skip

retention_clock = Table(  # working state: retention's own time, and what a day of it has taken
    "retention_clock", METADATA,
    Column("name", String(16), primary_key=True),
    Column("time_ns", BigInteger, nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("mono_ns", BigInteger, nullable=False),
    Column("boot", String(40), nullable=False),
    Column("day_ns", BigInteger, nullable=False),
    Column("day_bytes", BigInteger, nullable=False),
)  # fmt: skip

stored_files = Table(  # a projection of `stored` records of files: what counts as being at the hub
    "stored_files", METADATA,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("position", BigInteger, nullable=False),
)  # fmt: skip

files = Table(  # working state: what people announced, and whether it is whole
    "files", METADATA,
    Column("owner", String(80), primary_key=True),
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("about", String(200), nullable=False),
    Column("state", String(12), nullable=False),  # announced, stored
    Column("made_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Index("files_sha256", "sha256"),
    Index("files_state", "state", "owner", "changed_ns"),
)  # fmt: skip

# ------------------------------------------------------------------------- people and access (hub/access.py)

people = Table(
    "people", METADATA,
    Column("name", String(40), primary_key=True),
    Column("display", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("password", Text, nullable=False),  # argon2id
    Column("disabled", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("party", String(64)),  # the enterprise or partner that somebody acts for
)  # fmt: skip

logins = Table(
    "logins", METADATA,
    Column("token", LargeBinary(32), primary_key=True),  # SHA-256 of the cookie
    Column("person", String(40), nullable=False),
    Column("began_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index("logins_person", "person"),
)  # fmt: skip

api_tokens = Table(
    "api_tokens", METADATA,
    Column("id", String(16), primary_key=True),
    Column("token", LargeBinary(32), nullable=False, unique=True),  # SHA-256
    Column("person", String(40), nullable=False),
    Column("label", Text, nullable=False),
    Column("made_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
)  # fmt: skip

login_failures = Table(  # by name and by address
    "login_failures", METADATA,
    Column("key", String(80), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
)  # fmt: skip

# --------------------------------------------------------------- enrolment and exports (hub/enrolment.py, export.py add here)

enrolment_tokens = Table(  # one-time, for one box; spent when `request` is set
    "enrolment_tokens", METADATA,
    Column("token", LargeBinary(32), primary_key=True),  # SHA-256
    Column("box", String(32), nullable=False),
    Column("by", String(40), nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("request", String(32)),
)  # fmt: skip

enrolment_requests = Table(
    "enrolment_requests", METADATA,
    Column("request", String(32), primary_key=True),
    Column("box", String(32), nullable=False),
    Column("token", LargeBinary(32)),  # SHA-256; None: a renewal over the device port
    Column("identity_csr", LargeBinary),  # None: a renewal, the identity stays
    Column("tls_csr", LargeBinary, nullable=False),
    Column("state", String(10), nullable=False),  # waiting, issued, refused
    Column("at_ns", BigInteger, nullable=False),
    Column("certificates", LargeBinary),
    Column("by", String(40)),
    Column("reason", Text, nullable=False),
    Index("enrolment_requests_state", "state", "at_ns"),
)  # fmt: skip

tls_certificates = Table(  # with which boxes may open connections
    "tls_certificates", METADATA,
    Column("fingerprint", LargeBinary(32), primary_key=True),
    Column("box", String(32), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Index("tls_certificates_box", "box"),
)  # fmt: skip

# ------------------------------------------------------------------------------------- derived files (hub/derivation.py)

derivations = Table(  # a projection of `derived` records
    "derivations", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(128), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("derivations_task", "task", "position"),
    Index("derivations_sha256", "sha256"),
)  # fmt: skip

declarants = Table(  # working state, made from sheets: whose a declaration is, and what they call it
    "declarants", METADATA,
    Column("declaration", String(64), primary_key=True),
    Column("enterprise", String(40), nullable=False),
    Column("reference", String(64), nullable=False),
    Index("declarants_reference", "enterprise", "reference", unique=True),
)  # fmt: skip

# ------------------------------------------------------------------ supervision (hub/inspection/supervision, story)

annotations = Table(  # a projection of `annotation` records: supervisors' marks on moments of tasks
    "annotations", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(64), nullable=False),
    Column("stream", String(65)),
    Column("from_ns", BigInteger, nullable=False),
    Column("to_ns", BigInteger, nullable=False),
    Column("corrects", BigInteger),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("annotations_task", "task", "position"),
)  # fmt: skip

instructions = Table(  # a projection of `instruction` records: what the site was told, and that it was read
    "instructions", METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("task", String(64), nullable=False),
    Column("act", String(12), nullable=False),
    Column("answers", BigInteger),
    Column("sheet", LargeBinary(32), nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Index("instructions_task", "task", "position"),
    Index("instructions_answers", "answers"),
)  # fmt: skip

second_rounds = Table(  # a projection of `second-round` records
    "second_rounds", METADATA,
    Column("draw", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("parts", BigInteger, nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
)  # fmt: skip

second_looks = Table(  # finished tasks that were drawn to be looked at again, by the records that say so
    "second_looks", METADATA,
    Column("task", String(64), primary_key=True),
    Column("drawn_at", BigInteger, nullable=False),
    Column("drawn_ns", BigInteger, nullable=False),
    Column("assigned_at", BigInteger),
    Column("assigned_ns", BigInteger),
    Column("assigned_sheet", LargeBinary(32)),
    Column("found_at", BigInteger),
    Column("found_ns", BigInteger),
    Column("found_sheet", LargeBinary(32)),
    Column("outcome", String(12)),
    Index("second_looks_open", "found_at", "drawn_at"),
)  # fmt: skip

screening_names = Table(  # working state, made from sheets: what screened declarations name, so that others can be compared with them
    "screening_names", METADATA,
    Column("declaration", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),  # line, bill, permit
    Column("name", String(64), primary_key=True),  # SHA-256, in hex, of what it says
    Index("screening_names_name", "kind", "name"),
)  # fmt: skip
