"""From a text to windows of token ids, with offsets that are always code points of the text as sent."""
