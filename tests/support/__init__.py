"""Helpers shared by several test folders: `from support.packages import write_tiny_package`."""
