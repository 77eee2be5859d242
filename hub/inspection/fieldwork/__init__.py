"""Let inspectors work on site: tasks by their procedures, keys of phones, signed acts, what is missing, tickets for recorders.

Guarantees: each act is a record whose sheet binds what was signed; nothing that came is lost or overwritten; what is missing is judged
from the log and the stored files alone.
"""
