"""EndpointSlice: where the pods of a Service can be reached, and which of them may be sent traffic."""
