"""`hanner doctor`: pure checks in environment, server and workers; command.py reads what they check."""
