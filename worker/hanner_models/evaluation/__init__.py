"""Measure a model on labelled sentences and report the result."""
