"""Scraping, and the Prometheus HTTP API."""
