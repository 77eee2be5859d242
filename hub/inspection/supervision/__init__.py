"""Supervise inspections: marks on what was seen, words to the site, and second looks at finished tasks.

Guarantees: each is a record that changes nothing of what it speaks about; what a person wrote stands in a sheet beside the log.
"""
