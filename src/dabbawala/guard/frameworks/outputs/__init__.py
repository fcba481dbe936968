"""Forms of an assessment."""
