"""Parties outside the port: each a small stand-in that speaks the real protocol."""
