"""Reads a tagger's folder: ModelScope's layout, transformers' token classification, AdaSeq's, or hanner's own.

They differ in where the labels stand, what the weights are called, and how a text becomes tokens:

| folder | has | tokens | spans |
| --- | --- | --- | --- |
| ModelScope | configuration.json | words, or characters if `is_split_into_words`; first pieces are labelled | its own |
| AdaSeq | configuration.json, model sequence-labeling-model | characters; first pieces are labelled | conlleval's |
| transformers | config.json | words; first pieces are labelled | conlleval's |
| hanner's own | `hanner_text` in config.json | words; all pieces are labelled | conlleval's |
"""

import re
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from hanner_inference.tokenization.tokens import TokenizerOptions
from hanner_models.conversion.graph import Activation, Shape
from hanner_models.source.base import ConversionError, Source, read_json, read_json_if_there
from hanner_models.source.labels import read_labels
from hanner_models.source.weights import Sizes, check_weights, read_weights
from hanner_models.source.wordpiece import read_tokenizer, special_token

_BERT = ("bert", "structbert", "sbert")
_ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu", "gelu_python": "gelu", "relu": "relu"}
_ADASEQ = "sequence-labeling-model"
_SHORTEST = 16


def read_source(folder: Path) -> Source:
    """Read a tagger's folder.

    Raises:
        ConversionError: a file is missing or is not what it should be; the sentence names it and says what is wrong.
    """
    if not folder.is_dir():
        raise ConversionError(f"there is no folder {folder}")
    configuration = read_json_if_there(folder / "configuration.json")
    config = _config(folder, configuration)
    tokenizer_config = read_json_if_there(folder / "tokenizer_config.json")
    _check_architecture(folder, config)
    labels = read_labels(folder, configuration, config)
    own = "hanner_text" in config
    tokenizer = read_tokenizer(folder, {} if own else tokenizer_config)
    weights = read_weights(folder)
    shape = _shape(folder, config)
    checked = check_weights(folder, weights, shape, _sizes(folder, config, weights, len(labels)))
    _check_vocabulary(folder, tokenizer, len(checked["embeddings.word_embeddings.weight"]))
    modelscope = bool(configuration) and not own and _model(configuration).get("type") != _ADASEQ
    if own:
        options = _own_options(folder, config, shape)
    else:
        options = _options(configuration, tokenizer_config, tokenizer, shape)
    return Source(
        weights=checked,
        shape=shape,
        labels=labels,
        tokenizer=tokenizer.to_str(),
        options=options,
        spans="modelscope" if modelscope else "conll",
        training=config.get("hanner_training") or _described(folder),
    )


def _config(folder: Path, configuration: dict[str, Any]) -> dict[str, Any]:
    """Read config.json; a few ModelScope folders keep it in configuration.json instead."""
    backbone = _model(configuration).get("backbone")
    if isinstance(backbone, dict) and not (folder / "config.json").exists():
        return backbone
    return read_json(folder / "config.json")


def _check_architecture(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what is no BERT, or a BERT with parts that the graph does not have."""
    path = folder / "config.json"
    kind = config.get("model_type", "bert")
    if kind not in _BERT:
        raise ConversionError(
            f"{path} describes a model of type {kind}; only encoders of BERT's shape can be converted"
        )
    if str(config.get("hidden_act", "gelu")) not in _ACTIVATIONS:
        raise ConversionError(f"{path}: the activation {config['hidden_act']} is not supported, only gelu and relu")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ConversionError(f"{path}: positions of type {config['position_embedding_type']} are not supported")
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise ConversionError(f"{path} describes a decoder; only encoders can be converted")


def _shape(folder: Path, config: dict[str, Any]) -> Shape:
    positions = _number(folder, config, "max_position_embeddings", 512)
    if positions < _SHORTEST:
        raise ConversionError(f"{folder / 'config.json'}: {positions} positions are too few; {_SHORTEST} are needed")
    epsilon = config.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, float | int) or not 0 <= epsilon < 1:
        raise ConversionError(f"{folder / 'config.json'}: layer_norm_eps must be a small number, and is {epsilon!r}")
    return Shape(
        layers=_number(folder, config, "num_hidden_layers"),
        heads=_number(folder, config, "num_attention_heads"),
        epsilon=float(epsilon),
        max_length=positions,
        bigrams=bool(config.get("bigram_rows")),
        activation=_ACTIVATIONS[config.get("hidden_act", "gelu")],
    )


def _sizes(folder: Path, config: dict[str, Any], weights: dict[str, Any], labels: int) -> Sizes:
    """Take sizes from config.json; what it does not say must be as the weights are."""

    def found(name: str, axis: int) -> int | None:
        value = weights.get(name)
        return int(value.shape[axis]) if value is not None and value.ndim > axis else 1

    table = "embeddings.word_embeddings.weight"
    sizes = Sizes(
        hidden=_number(folder, config, "hidden_size", found(table, 1)),
        inner=_number(folder, config, "intermediate_size", found("encoder.layer.0.intermediate.dense.weight", 0)),
        vocabulary=_number(folder, config, "vocab_size", found(table, 0)),
        positions=_number(folder, config, "max_position_embeddings", 512),
        types=_number(folder, config, "type_vocab_size", found("embeddings.token_type_embeddings.weight", 0)),
        labels=labels,
        bigrams=(_number(folder, config, "bigram_rows"), _number(folder, config, "bigram_width"))
        if config.get("bigram_rows")
        else (0, 0),
    )
    if sizes.hidden % config["num_attention_heads"]:
        raise ConversionError(
            f"{folder / 'config.json'}: {sizes.hidden} hidden units cannot be shared by "
            f"{config['num_attention_heads']} heads"
        )
    return sizes


def _number(folder: Path, config: dict[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConversionError(f"{folder / 'config.json'}: {key} must be a positive number, and is {value!r}")
    return value


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, rows: int) -> None:
    count = tokenizer.get_vocab_size()
    if count != rows:
        raise ConversionError(
            f"the vocabulary in {folder} has {count:,} tokens and the embedding {rows:,} rows; "
            "they belong to different models"
        )


def _options(
    configuration: dict[str, Any], tokenizer_config: dict[str, Any], tokenizer: Tokenizer, shape: Shape
) -> TokenizerOptions:
    """Say how texts become tokens. Lower-casing is the tokenizer's own, so that it is done exactly as in training."""
    preprocessor = _preprocessor(configuration)
    split = preprocessor.get("is_split_into_words", tokenizer_config.get("is_split_into_words", False))
    characters = bool(configuration) and (bool(split) or _model(configuration).get("type") == _ADASEQ)
    ids = {
        option: tokenizer.token_to_id(special_token(tokenizer_config, f"{option[:3]}_token", default))
        for option, default in (("cls_id", "[CLS]"), ("sep_id", "[SEP]"))
    }
    for name, found in ids.items():
        if found is None:
            raise ConversionError(f"the vocabulary has no [{name[:3].upper()}], which stands around every text")
    return TokenizerOptions(
        lowercase=False,
        half_width=False,
        max_length=_longest(preprocessor, shape),
        split="characters" if characters else "words",
        label_mask="first",
        **ids,
    )


def _longest(preprocessor: dict[str, Any], shape: Shape) -> int:
    """Return the tokens of a window: what the model was trained on, if that is said, else what it can take."""
    longest = preprocessor.get("max_length")
    return min(longest, shape.max_length) if isinstance(longest, int) and longest >= _SHORTEST else shape.max_length


def _own_options(folder: Path, config: dict[str, Any], shape: Shape) -> TokenizerOptions:
    try:
        return TokenizerOptions(**config["hanner_text"], max_length=shape.max_length)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"{folder / 'config.json'}: hanner_text is not as hanner writes it: {error}") from None


def _model(configuration: dict[str, Any]) -> dict[str, Any]:
    model = configuration.get("model")
    return model if isinstance(model, dict) else {}


def _preprocessor(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the preprocessor's settings for inference; they may stand under `val`."""
    found = configuration.get("preprocessor")
    found = found if isinstance(found, dict) else {}
    inner = found.get("val")
    return inner if isinstance(inner, dict) and "type" not in found else found


def _described(folder: Path) -> dict[str, Any]:
    """Return what the model card says: its licence."""
    card = folder / "README.md"
    head = card.read_text("utf-8", errors="replace")[:4096] if card.is_file() else ""
    licence = re.search(r"^license:[ \t]*\"?([\w .+-]+)", head, re.MULTILINE)
    described: dict[str, Any] = {"source": folder.resolve().name}
    return described | ({"licences": [licence[1].strip()]} if licence else {})
