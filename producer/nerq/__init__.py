"""The thin client of nerq."""
