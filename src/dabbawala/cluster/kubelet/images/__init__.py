"""Local images: what a Dockerfile says of a program, kept where the node agents find it."""
