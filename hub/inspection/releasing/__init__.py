"""Judge inspections and release goods: no evidence, no release.

The parts: `tables` (projections), `clearing` (the gate: the only maker of what a release message is built from), `evaluating` and
`releasing` (the facade), `following` (what happens by rule).
"""
