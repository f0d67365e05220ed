"""The Celery worker: delivery from Redis, batching, and execution in pool processes."""
