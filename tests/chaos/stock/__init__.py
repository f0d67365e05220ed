"""What nerq is compared with: the same task, the same pretended model, no line of nerq's."""
