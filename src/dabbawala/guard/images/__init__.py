"""Container images: what scanners, SBOMs and signature records say of them, and what follows for who runs them."""
