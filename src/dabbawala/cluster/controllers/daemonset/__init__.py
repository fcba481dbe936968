"""DaemonSet: one pod on every node that may run it."""
