"""A user's own terms, which override the model: read, compiled, matched, reloaded."""
