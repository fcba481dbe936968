"""Starts, watches and stops the parts of a cluster on one machine."""
