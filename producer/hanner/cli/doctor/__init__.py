"""`hanner doctor`: pure checks in environment, server and workers; run.py reads the values that they check."""
