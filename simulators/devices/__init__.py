"""Simulated cameras, recorders and phones, which know nothing of the product but the public protocols."""
