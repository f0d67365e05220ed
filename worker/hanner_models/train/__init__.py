"""Train hanner-small: vocabulary, masked-language pretraining, tagging, checkpoints. Most modules import torch."""

import os

# Batches have many shapes, and oneDNN caches compiled primitives for the last 1,024 of them: 9 GB after 2,000 steps.
# oneDNN reads the variable when torch is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
