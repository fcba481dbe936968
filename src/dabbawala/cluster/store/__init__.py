"""The cluster's state: an append log on SQLite, an index in memory, watches over both."""
