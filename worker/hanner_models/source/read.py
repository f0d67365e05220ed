"""Read a tagger's folder: ModelScope's layout, transformers' token classification, AdaSeq's, or one of hanner's own.

The layouts differ in where labels are stored, how weights are named, and how a text is tokenised:

| layout | recognised by | tokens | spans |
| --- | --- | --- | --- |
| ModelScope | configuration.json | words, or characters if `is_split_into_words`; first pieces are labelled | its own |
| AdaSeq | configuration.json, model sequence-labeling-model | characters; first pieces are labelled | conlleval's |
| transformers | config.json | words; first pieces are labelled | conlleval's |
| hanner's own | `hanner_text` in config.json | words; all pieces are labelled | conlleval's |
| hanner's teacher | teacher.json | word pieces; characters are labelled, see teacher.py | conlleval's |
"""

import re
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from hanner_inference.tokenization.options import TokenizerOptions
from hanner_models.source.architecture import Activation, EncoderShape
from hanner_models.source.base import ConversionError, Source, read_json, read_optional_json
from hanner_models.source.labels import read_labels
from hanner_models.source.teacher import is_teacher, read_teacher
from hanner_models.source.weights import Sizes, check_weights, read_weights
from hanner_models.source.wordpiece import read_tokenizer, special_token

_BERT = ("bert", "structbert", "sbert")
_ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu", "gelu_python": "gelu", "relu": "relu"}
_ADASEQ = "sequence-labeling-model"
_SHORTEST = 16


def read_source(folder: Path) -> Source:
    """Return the tagger in a folder.

    Raises:
        ConversionError: a file is missing or cannot be used; the message names it and what is wrong with it.
    """
    if not folder.is_dir():
        raise ConversionError(f"folder {folder} does not exist")
    if is_teacher(folder):
        return read_teacher(folder)
    configuration = read_optional_json(folder / "configuration.json")
    config = _config(folder, configuration)
    tokenizer_config = read_optional_json(folder / "tokenizer_config.json")
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
        training=config.get("hanner_training") or _read_model_card(folder),
    )


def _config(folder: Path, configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the content of config.json; a few ModelScope folders have it in configuration.json instead."""
    backbone = _model(configuration).get("backbone")
    if isinstance(backbone, dict) and not (folder / "config.json").exists():
        return backbone
    return read_json(folder / "config.json")


def _check_architecture(folder: Path, config: dict[str, Any]) -> None:
    """Raise ConversionError if the model is not a BERT, or has parts that the graph does not support."""
    path = folder / "config.json"
    kind = config.get("model_type", "bert")
    if kind not in _BERT:
        raise ConversionError(f"{path} describes a model of type {kind}; only BERT encoders can be converted")
    if str(config.get("hidden_act", "gelu")) not in _ACTIVATIONS:
        raise ConversionError(
            f"{path}: activation {config['hidden_act']} is not supported; supported are gelu and relu"
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ConversionError(
            f"{path}: positions of type {config['position_embedding_type']} are not supported, only absolute"
        )
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise ConversionError(f"{path} describes a decoder; only encoders can be converted")


def _shape(folder: Path, config: dict[str, Any]) -> EncoderShape:
    positions = _read_positive_int(folder, config, "max_position_embeddings", 512)
    if positions < _SHORTEST:
        raise ConversionError(
            f"{folder / 'config.json'}: max_position_embeddings is {positions}; at least {_SHORTEST} are needed"
        )
    epsilon = config.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, float | int) or not 0 <= epsilon < 1:
        raise ConversionError(f"{folder / 'config.json'}: layer_norm_eps must be from 0 to 1, but is {epsilon!r}")
    return EncoderShape(
        layers=_read_positive_int(folder, config, "num_hidden_layers"),
        heads=_read_positive_int(folder, config, "num_attention_heads"),
        epsilon=float(epsilon),
        max_length=positions,
        bigrams=bool(config.get("bigram_rows")),
        activation=_ACTIVATIONS[config.get("hidden_act", "gelu")],
    )


def _sizes(folder: Path, config: dict[str, Any], weights: dict[str, Any], labels: int) -> Sizes:
    """Return the sizes in config.json; sizes that it does not state are taken from the weights."""

    def found(name: str, axis: int) -> int | None:
        value = weights.get(name)
        return int(value.shape[axis]) if value is not None and value.ndim > axis else 1

    table = "embeddings.word_embeddings.weight"
    sizes = Sizes(
        hidden=_read_positive_int(folder, config, "hidden_size", found(table, 1)),
        inner=_read_positive_int(
            folder, config, "intermediate_size", found("encoder.layer.0.intermediate.dense.weight", 0)
        ),
        vocabulary=_read_positive_int(folder, config, "vocab_size", found(table, 0)),
        positions=_read_positive_int(folder, config, "max_position_embeddings", 512),
        types=_read_positive_int(
            folder, config, "type_vocab_size", found("embeddings.token_type_embeddings.weight", 0)
        ),
        labels=labels,
        bigrams=(_read_positive_int(folder, config, "bigram_rows"), _read_positive_int(folder, config, "bigram_width"))
        if config.get("bigram_rows")
        else (0, 0),
    )
    if sizes.hidden % config["num_attention_heads"]:
        raise ConversionError(
            f"{folder / 'config.json'}: hidden_size {sizes.hidden} is not a multiple of "
            f"{config['num_attention_heads']} heads"
        )
    return sizes


def _read_positive_int(folder: Path, config: dict[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConversionError(f"{folder / 'config.json'}: {key} must be a positive integer, but is {value!r}")
    return value


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, rows: int) -> None:
    count = tokenizer.get_vocab_size()
    if count != rows:
        raise ConversionError(
            f"the vocabulary in {folder} has {count:,} tokens but the embedding has {rows:,} rows; "
            "they belong to different models"
        )


def _options(
    configuration: dict[str, Any], tokenizer_config: dict[str, Any], tokenizer: Tokenizer, shape: EncoderShape
) -> TokenizerOptions:
    """Return how texts are tokenised. The tokenizer itself lower-cases, exactly as it did in training."""
    preprocessor = _preprocessor(configuration)
    split = preprocessor.get("is_split_into_words", tokenizer_config.get("is_split_into_words", False))
    characters = bool(configuration) and (bool(split) or _model(configuration).get("type") == _ADASEQ)
    ids = {
        option: tokenizer.token_to_id(special_token(tokenizer_config, f"{option[:3]}_token", default))
        for option, default in (("cls_id", "[CLS]"), ("sep_id", "[SEP]"))
    }
    for name, found in ids.items():
        if found is None:
            raise ConversionError(f"the vocabulary has no [{name[:3].upper()}], which must surround every text")
    return TokenizerOptions(
        lowercase=False,
        half_width=False,
        max_length=_window_length(preprocessor, shape),
        split="characters" if characters else "words",
        label_mask="first",
        cls_id=ids["cls_id"],
        sep_id=ids["sep_id"],
    )


def _window_length(preprocessor: dict[str, Any], shape: EncoderShape) -> int:
    """Return the tokens per window: the length the model was trained with if stated, else its number of positions."""
    stated = preprocessor.get("max_length")
    return min(stated, shape.max_length) if isinstance(stated, int) and stated >= _SHORTEST else shape.max_length


def _own_options(folder: Path, config: dict[str, Any], shape: EncoderShape) -> TokenizerOptions:
    try:
        return TokenizerOptions(**config["hanner_text"], max_length=shape.max_length)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"{folder / 'config.json'}: hanner_text is invalid: {error}") from None


def _model(configuration: dict[str, Any]) -> dict[str, Any]:
    model = configuration.get("model")
    return model if isinstance(model, dict) else {}


def _preprocessor(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the preprocessor's settings for inference; they may be nested under `val`."""
    found = configuration.get("preprocessor")
    found = found if isinstance(found, dict) else {}
    inner = found.get("val")
    return inner if isinstance(inner, dict) and "type" not in found else found


def _read_model_card(folder: Path) -> dict[str, Any]:
    """Return the name of the folder, and the licence that its model card states."""
    card = folder / "README.md"
    head = card.read_text("utf-8", errors="replace")[:4096] if card.is_file() else ""
    licence = re.search(r"^license:[ \t]*\"?([\w .+-]+)", head, re.MULTILINE)
    metadata: dict[str, Any] = {"source": folder.resolve().name}
    return metadata | ({"licences": [licence[1].strip()]} if licence else {})
