"""Metrics and PromQL, pure."""
