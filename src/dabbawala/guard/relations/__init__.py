"""How the objects of a scan hang together: each module answers for one subject, by functions that checks ask with."""
