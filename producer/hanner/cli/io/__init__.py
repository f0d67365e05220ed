"""What `hanner extract` reads and writes."""
