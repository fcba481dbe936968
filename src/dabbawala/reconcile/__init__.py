"""The one loop that all controllers share: informer, queue, plan, apply."""
