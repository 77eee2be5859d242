"""Read and write UN/EDIFACT interchanges (ISO 9735), with every count and reference checked in both directions.

Guarantees: an interchange that passes has the counts and references it claims, and no other; a wrong one is named by segment, and what
is right beside it stays usable; what is written passes the same checks. Pure: anybody may import it.
"""
