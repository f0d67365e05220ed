"""Texts from files as people have them: encodings, compression, tables, spreadsheets, JSON, HTML. No network."""
