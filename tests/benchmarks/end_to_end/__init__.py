"""End to end: what users get, against the engine alone and against other ways to serve the same model."""
