"""Fine-tune a tagger on labelled sentences, all weights or with LoRA, and convert it to a package."""
