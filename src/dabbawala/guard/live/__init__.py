"""Scans of a running cluster: what it serves, what is in it, what it enforces, and results as objects in it."""
