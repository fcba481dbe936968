"""The scheduler: which pod goes to which node."""
