"""Engines, which run the encoder of a model."""
