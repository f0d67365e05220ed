"""Folders of small taggers with random weights, in the layouts of several frameworks. No torch."""

import json

import numpy as np
from safetensors.numpy import save_file

from support.encoders import HIDDEN, INNER, LABELS, SHAPE, VOCABULARY, random_weights
from support.packages import BIO, tiny_tokenizer

CRF_SHAPES = {"start_transitions": (LABELS,), "end_transitions": (LABELS,), "transitions": (LABELS, LABELS)}


def tokens():
    """Return the first tokens of the tiny tokenizer, one per row of the encoder's embedding."""
    vocabulary = json.loads(tiny_tokenizer().to_str())["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.get)[:VOCABULARY]


def crf_weights(seed=0):
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in CRF_SHAPES.items()}


def state_dict(layout, *, crf=True):
    """Return a state dict with the keys of `layout`."""
    encoder, head = {
        "modelscope": ("encoder.", "head."),
        "headless": ("encoder.", ""),
        "transformers": ("bert.", ""),
        "bare": ("", ""),
        "adaseq": ("embedder.transformer_model.", ""),
        "parallel": ("module.encoder.", "module.head."),
    }[layout]
    linear = "classifier." if layout == "transformers" else f"{head}linear."
    keys = {}
    for name, value in random_weights().items():
        keys[linear + name.removeprefix("linear.") if name.startswith("linear.") else encoder + name] = value
    if crf:
        keys |= {f"{head}crf.{name}": value for name, value in crf_weights().items()}
    keys[f"{encoder}embeddings.position_ids"] = np.arange(SHAPE.max_length)[None]
    keys[f"{encoder}pooler.dense.weight"] = np.zeros((HIDDEN, HIDDEN), dtype=np.float32)
    return keys


def write_tagger(folder, layout="modelscope", *, crf=True, labels=BIO, **config):
    """Write a folder with config.json, vocab.txt, model.safetensors and, for ModelScope's kinds, configuration.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state_dict(layout, crf=crf), folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(tokens()) + "\n", "utf-8")
    described = {
        "model_type": "bert",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": SHAPE.layers,
        "num_attention_heads": SHAPE.heads,
        "max_position_embeddings": SHAPE.max_length,
        "vocab_size": VOCABULARY,
        "type_vocab_size": 2,
        "id2label": dict(enumerate(labels)),
    } | config
    (folder / "config.json").write_text(json.dumps(described, ensure_ascii=False), "utf-8")
    if layout != "transformers":
        model = "sequence-labeling-model" if layout == "adaseq" else "transformer-crf"
        configuration = {"task": "named-entity-recognition", "model": {"type": model}}
        (folder / "configuration.json").write_text(json.dumps(configuration), "utf-8")
    return folder


def edit_json(path, **changes):
    """Set keys of a JSON file; None removes a key."""
    content = json.loads(path.read_text("utf-8")) if path.exists() else {}
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
