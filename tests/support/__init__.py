"""Helpers that tests of several rings share: `from support.packages import write_tiny_package`."""
