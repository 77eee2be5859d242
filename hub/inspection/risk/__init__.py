"""Judge the risk of a declaration: pure rules over values, and what gathers these values from the hub's tables.

Guarantees: integers alone, in parts of 10^9, so that everybody reckons alike; every part of a score is kept and shown; whatever gets worse
never lowers a score or a lane. Figures that no source names ship as data, marked unverified.
"""
