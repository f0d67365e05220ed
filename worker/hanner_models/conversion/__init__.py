"""Convert a trained tagger to a verified INT8 model package."""
