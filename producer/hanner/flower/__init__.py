"""`hanner flower`: Flower, configured for hanner. Needs the extra `flower`."""
