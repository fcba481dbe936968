"""Progressive delivery: Rollout and analysis, on any Kubernetes."""
