"""Bring the hub's tables from any earlier form to the newest; run at start by `storage.database`."""
