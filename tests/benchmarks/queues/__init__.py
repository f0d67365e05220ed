"""What the queue costs: the same model, which does nothing, behind plain Celery, celery-batches and hanner."""
