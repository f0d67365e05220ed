"""Batches: which requests share one, how it gets to a pool process and what comes of it."""
