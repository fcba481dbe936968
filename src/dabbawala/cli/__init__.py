"""The `dabba` command, one module per command group."""
