"""Metrics and traces of a worker. Only the parent records them: it handles every batch, also crashed ones."""
