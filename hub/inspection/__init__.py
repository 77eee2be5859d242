"""Decide an inspection, from declaration to release: declarations and their steps, screening, checklists, evaluation, release.

Guarantees: every decision is a record, judged by a pure rule in the transaction that logs it, with its inputs and the rule's version in
a sheet beside the log. Rules here look at values only; what an outside verifier must recompute lives in `protocol`. The hub imports it.
"""
