"""Say what an operating procedure asks for, read answers against it, and tell what is missing.

Guarantees: a procedure that was read is whole, bounded and free of defaults for answers; the same procedure, answers and records give
every reader the same list of what is missing. Pure: the hub, a phone's server and an outside verifier may all import it; how
procedures are written by people (YAML, spreadsheets) is the hub's affair.
"""
