"""Deployment: moves a set of pods from one template to the next without losing availability."""
