"""Simulated people and task sources, who use the hub's public API as their real counterparts do."""
