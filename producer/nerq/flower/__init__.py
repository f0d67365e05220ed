"""Flower, set up for nerq: `nerq flower`. Needs the extra `flower`."""
