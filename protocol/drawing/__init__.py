"""Draw declarations and inspectors so that anybody can recompute it: VRF, pool, rates, selection, inspectors, the published bundle.

Guarantees: integers and fixed point only, so that every verifier gets the same draw; whatever was fixed before the seed could be known
(policy, pool, roster, closing time) is bound by hash in the log; nothing here reads a clock or makes chance of its own. Pure: anybody
may import it.
"""
