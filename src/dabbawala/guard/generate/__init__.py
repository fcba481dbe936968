"""Manifests that others would have to write by hand, made from a graph, traffic, an audit log or a profile."""
