"""What a store costs: rows per second of processor time, of the client and of the database's backend together."""
