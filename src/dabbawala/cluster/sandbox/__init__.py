"""Rootless pods: the holder, the shim, namespaces and the pod network."""
