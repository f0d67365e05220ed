"""Jobs: many texts in one request, processed in chunks through the queue, with their state in Redis."""
