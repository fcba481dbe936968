"""Job: pods that run to completion, counted exactly."""
