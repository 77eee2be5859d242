"""Exchange messages with the port's other systems: each kept raw, numbered, handled once, and told until it is taken.

The parts: `reading` (bytes to events, pure), `tables` (projections), `judging` (what an event does), `telling` (what the port is told),
`taking` (the facade), `delivering` (the queue outward), `messages_check` (invariant S8).
"""
