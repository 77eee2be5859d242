"""The centre: ingest, log, tasks, linking, supervision, live relay, access.

Guarantees: what is acknowledged is committed; every accepted record is in the mirrored journal, every own act a leaf of the
port log; nothing accepted is changed or removed. Imports `protocol`, `storage` and `firmware_adapters.webrtc`, never `edge`;
imported by `web` and `simulators`.
"""
