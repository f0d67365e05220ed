"""Other servers of the model, written as their users would; each runs in its own environment."""
