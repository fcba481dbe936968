"""What rules and standards ask, clause by clause, and how far a scan and dated records support evidence for it."""
