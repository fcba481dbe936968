"""The checks as policies of a cluster: what is installed, in which stage, and what it would refuse. See DESIGN.md."""
