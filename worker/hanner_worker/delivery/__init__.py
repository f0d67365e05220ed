"""Delivery: from the queue to a worker's hands and back, with no moment at which a message is only in memory."""
