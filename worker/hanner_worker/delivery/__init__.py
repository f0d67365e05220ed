"""Delivery: messages from the queue to a worker and results back; no message is ever in memory only."""
