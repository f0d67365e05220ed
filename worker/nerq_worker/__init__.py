"""What runs in the queue worker. Never imports torch."""
