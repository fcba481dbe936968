"""What the API server and the scanner decide by, pure: admission policies, Pod Security, RBAC, NetworkPolicy."""
