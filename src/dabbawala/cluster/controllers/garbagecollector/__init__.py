"""Garbage collection: what goes when its owner goes."""
