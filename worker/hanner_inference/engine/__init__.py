"""Engines: what runs the encoder of a model."""
