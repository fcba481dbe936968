"""Tests of what guard reads beside manifests."""
