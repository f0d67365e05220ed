"""Fakes: in-memory stand-ins for the model and for Redis."""
