"""One computation, one file; the file's name is the agent's name in the configuration.

A file has `build(settings)`, which returns a `processors.computation.Computation`.
"""
