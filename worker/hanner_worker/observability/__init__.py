"""Metrics and traces of a worker. Only the parent observes: it learns of every batch, including those that crashed."""
