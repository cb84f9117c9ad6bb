"""What a user types: the `tapeline` command and the embedded stack. May import every other package; none imports it."""
