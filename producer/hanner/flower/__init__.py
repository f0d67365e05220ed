"""Flower, set up for hanner: `hanner flower`. Needs the extra `flower`."""
