"""Benchmark of the queue: a model that does nothing behind plain Celery, celery-batches and hanner."""
