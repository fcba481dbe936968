"""Where events come from: one module a source, each with its limits said and its losses counted."""
