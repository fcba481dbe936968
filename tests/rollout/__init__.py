"""Tests of progressive delivery."""
