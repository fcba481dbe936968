"""Analysis: measurements, what they mean, and the verdict. Knows nothing of rollouts but where arguments come from."""
