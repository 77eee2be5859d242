"""The box at the dock: capture, seal, journal, spool, forward, live, pair, watch.

Guarantees: every second of a recording period ends in a signed segment or a signed gap; nothing unreceipted is deleted;
recording never waits for a viewer, a network or a hub. Imports `protocol`, `storage` and `firmware_adapters`, never `hub`.
"""
