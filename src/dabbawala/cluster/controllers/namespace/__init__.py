"""Namespace: emptying one that is to go."""
