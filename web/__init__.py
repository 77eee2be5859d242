"""The hub's face: JSON API, device routes and pages, zh-CN and English.

Guarantees: every route checks who asks and what they may see; no rule lives here, routes translate and call `hub`. Imports
`protocol` and `hub` only; imported by nobody.
"""
