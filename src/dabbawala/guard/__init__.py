"""Guard: what may not go to production, found in files, in clusters and at admission by the same policies."""
