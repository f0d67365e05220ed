"""Trains the default model: vocabulary, masked-language pretraining, tagging, checkpoints. Imports torch."""
