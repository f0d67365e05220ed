"""The connection to the broker: sending messages and receiving results."""
