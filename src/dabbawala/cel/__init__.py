"""Policy expressions, pure: the Common Expression Language as Kubernetes speaks it."""
