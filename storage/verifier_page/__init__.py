"""The page with which anybody verifies a bundle in a browser: its sources in plain JavaScript, and what joins them into one file.

An implementation of its own, written from the formats: it shares no code with `protocol`, and both are tested to agree.
"""
