"""Fine-tunes a tagger on labelled sentences of one's own, full or LoRA, and makes a package of it."""
