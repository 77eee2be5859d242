"""Keep operating procedures as people write them: YAML files, spreadsheets of forms, and the procedures that ship with the hub.

Guarantees: a fault of a file is named by its line (YAML) or its sheet and row (XLSForm); what was read is the same procedure whichever
way it was written. What a procedure means - items, records, answers, what is missing - is `protocol.procedures`.
"""
