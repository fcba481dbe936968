"""PodDisruptionBudget: how many more pods may be evicted now."""
