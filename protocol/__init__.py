"""The language that boxes, hubs and outside verifiers share.

Guarantees: pure values in, pure values out; no I/O, no clock, no transport; every format is bounded and has golden bytes.
Holds identifiers, instants, records, signatures, Merkle proofs, notes, messages, and all that an outside verifier must
recompute. Imports nothing of ours; may be imported by everyone.
"""
