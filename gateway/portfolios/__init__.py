"""Portfolios over the gateway: what is known of them, and commands to them with their answers."""
