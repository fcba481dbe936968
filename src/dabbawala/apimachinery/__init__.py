"""What every Kubernetes object has in common: metadata, conditions, selectors, patches, Status errors, the clock."""
