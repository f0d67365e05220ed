"""`hanner doctor`: pure checks in environment, server and workers; command.py reads the values that they check."""
