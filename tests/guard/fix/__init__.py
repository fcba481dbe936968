"""Fixes: what is written, what stays, and that it comes to rest."""
