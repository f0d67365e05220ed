"""Builds the documentation site with Zensical: `make docs`.

Zensical is the successor of Material for MkDocs, by the same authors, and reads the same configuration.
"""
