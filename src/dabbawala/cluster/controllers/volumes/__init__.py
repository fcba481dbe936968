"""Persistent volumes: binding claims to volumes, making local ones, and what happens to them afterwards."""
