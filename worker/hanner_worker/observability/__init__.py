"""What a worker tells Prometheus. Only its parent counts, for it learns of every batch, also of one that died."""
