"""Read labelled data sets."""
