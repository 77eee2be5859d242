"""Tell the whole story of an inspection on one line of time, as the log held it at any moment.

Guarantees: an entry is shown only when its record, or the seal that covers it, stood in the log at the size that is asked for; each
names its record, so that its proof and its place in the log can be opened; every lookup is one of an index, whatever the history.
"""
