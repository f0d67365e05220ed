"""Taggers in ModelScope's layout with random weights, and ModelScope's own pipeline. Needs modelscope."""

import json
import os
import warnings
from pathlib import Path

BIOES = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "ORG") for prefix in "BIES"))
DATA = Path(os.environ.get("HANNER_DATA", Path(__file__).parents[3] / "shared" / "data"))
"""Folder with corpora, by default next to the repository; tests use less data without them."""


def write_folder(folder, vocabulary, *, labels=BIOES, model="transformer-crf", preprocessor=None, **config):
    """Write all files of a ModelScope folder except the weights."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    configuration = {
        "framework": "pytorch",
        "task": "named-entity-recognition",
        "model": {"type": model},
        "preprocessor": {"type": "ner-tokenizer", **(preprocessor or {})},
        "pipeline": {"type": "named-entity-recognition"},
    }
    (folder / "configuration.json").write_text(json.dumps(configuration), "utf-8")
    described = {
        "model_type": "bert",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.2,
        "layer_norm_eps": 1e-12,
        "label2id": {label: number for number, label in enumerate(labels)},
        "num_labels": len(labels),
    } | config
    (folder / "config.json").write_text(json.dumps(described), "utf-8")
    return folder


def write_weights(folder, model="ModelForTokenClassificationWithCRF", seed=0):
    """Save random weights of ModelScope's own class in its own format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from modelscope.models.nlp.task_models import token_classification

        torch.manual_seed(seed)
        network = getattr(token_classification, model)(str(folder))
        state = {
            name: torch.randn_like(value) if ".crf." in name else value for name, value in network.state_dict().items()
        }
        torch.save(state, folder / "pytorch_model.bin")
    return folder


def convert_layout(tagger, folder):
    """Write a tagger of `hanner model train` in ModelScope's layout; its weights already have ModelScope's names."""
    import torch
    from safetensors.torch import load_file

    config = json.loads((tagger / "config.json").read_text("utf-8"))
    tokens = json.loads((tagger / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    labels = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps")
    names += ("max_position_embeddings", "type_vocab_size")
    preprocessor = {"is_split_into_words": True, "padding": False, "max_length": config["max_position_embeddings"]}
    write_folder(
        folder,
        sorted(tokens, key=tokens.get),
        labels=labels,
        preprocessor=preprocessor,
        **{n: config[n] for n in names},
    )
    torch.save(load_file(tagger / "model.safetensors"), folder / "pytorch_model.bin")
    return folder


def open_pipeline(folder, **options):
    """Return a function from a text to [(type, start, end)] that runs ModelScope's pipeline."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from modelscope.pipelines import pipeline

        torch.set_num_threads(1)  # the products are too small for threads
        opened = pipeline("named-entity-recognition", str(folder), device="cpu", **options)

    def extract(text):
        return [(c["type"], int(c["start"]), int(c["end"])) for c in opened(text)["output"]]

    return extract
