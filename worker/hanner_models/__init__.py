"""Tools for models: fetch, convert, quantise, verify, evaluate, train. Offline; only training imports torch."""
