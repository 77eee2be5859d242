"""Measure speed and memory against other programs, both in one run: `./run bench`.

Guarantees: each figure is a ratio to a peer that did the same work on the same footage, cores and disk in the same run; what is
durable, encrypted and verified on each side is said beside it.
"""
