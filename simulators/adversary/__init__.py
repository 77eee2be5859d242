"""Attack Portwitness by named programs, each one alone usable: on bundles, clips, boxes' folders, hubs' folders and logs.

Guarantees: an attack edits files of a copy; it never judges itself. Whether it is caught is for the shipped programs to say.
"""
