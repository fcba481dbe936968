"""ServiceAccount: what every namespace has from its first moment."""
