"""The forms in which an assessment is shown."""
