"""The queue as it is in Redis: its keys, statistics, dead letters, routing and metrics."""
