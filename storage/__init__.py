"""Keep state that survives power cuts.

Guarantees: what a call has returned from is on disk; files appear whole or not at all; a crash at any instant leaves a
state that `fsck` accepts. Holds files, the box spool, the log's tiles, blob stores, the hub's database, key stores, and the
stand-alone programs that outside parties run (verify, authority). Imports `protocol` only; imported by `edge` and `hub`.
"""
