"""A production platform for Kubernetes in one Python package."""
