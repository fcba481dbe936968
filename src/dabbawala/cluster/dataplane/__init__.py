"""Services and routes, translated to Envoy."""
