"""From a text to token ids, and from a long text to windows. This module has no imports, so it is cheap to import."""

SPECIAL_TOKENS = 2
"""Tokens that the model reads in every window in addition to those of the text: [CLS] before them, [SEP] after them."""
