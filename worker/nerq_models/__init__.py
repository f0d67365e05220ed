"""Tools for models: fetch, convert, quantise, verify, evaluate, train. Offline; may import torch, but only where needed."""
