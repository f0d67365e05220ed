"""Trains the default model: vocabulary, masked-language pretraining, tagging, checkpoints. Imports torch."""

import os

# Batches come in ever new shapes, and oneDNN keeps what it compiled for the last 1,024 of them: 9 GB after 2,000 steps.
# It reads this once, when torch is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
