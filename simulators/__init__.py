"""Stand in for devices, people and whole ports, usable one by one or as a whole.

Guarantees: each simulator speaks the public protocol only, works against anybody's hub or box, is deterministic by seed,
and writes a ground-truth ledger of what it did, by which tests judge the product. May import everything but `web`;
`simulators.devices` imports `protocol` only. Imported by tests.
"""
