"""The HTTP routes, by topic: entities, jobs, and operation (health, status, metrics)."""
