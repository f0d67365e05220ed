"""Batching, in the worker's parent: which requests share a batch, and how the batch is sent to a pool process."""
