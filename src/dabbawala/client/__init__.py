"""One API client, over the network or in memory."""
