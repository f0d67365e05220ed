"""Inputs and outputs of `hanner extract`."""
