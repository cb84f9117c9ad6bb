"""What the computations keep in their tables, as bytes and back: a file for each computation, named as its agent."""
