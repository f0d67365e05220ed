"""The user's own terms, which override the model."""
