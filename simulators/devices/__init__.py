"""Simulated cameras and recorders, which know nothing of the product but the public protocols."""
