"""Asking a container how it is: startup, readiness and liveness, by HTTP, TCP, command or gRPC."""
