"""Benchmarks, each a command: ``python -m benchmarks.tree --help``."""
