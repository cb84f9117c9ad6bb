"""Plumbing that every stage uses: settings, Kafka client options, logs, metrics, health, graceful stop, retry delays.

Imports no package of the project, so that any of them may import it.
"""
