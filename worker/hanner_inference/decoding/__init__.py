"""From label scores to entities."""
