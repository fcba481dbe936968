"""The volumes of a pod: what is in them (pure) and how they come to be on this machine."""
