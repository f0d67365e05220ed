"""Tools for models: download, convert, quantise, verify, evaluate, train. They use no queue; most need no torch."""
