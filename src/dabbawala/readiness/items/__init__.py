"""The 42 items, a module for each of the seven categories."""
