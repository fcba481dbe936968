"""Every kind the platform knows, declared once."""
