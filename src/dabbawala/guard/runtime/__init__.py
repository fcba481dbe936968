"""What pods do while they run: a detector in user space that evaluates rules in Falco's language."""
