"""Endpoints: the older form of EndpointSlices, for the clients that still read it."""
