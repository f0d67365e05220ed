"""Reading taggers: all layouts give the same result, invalid ones are rejected with one line."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hanner_inference.tokenization.tokens import WordTokenizer
from hanner_models.source import ConversionError, read_source
from hanner_models.source.weights import canonical_name
from support.encoders import VOCABULARY, random_weights
from support.packages import BIO
from support.taggers import crf_weights, edit_json, tokens, write_tagger

LAYOUTS = ["modelscope", "headless", "transformers", "bare", "adaseq", "parallel"]
BIOES = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "E-LOC")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_give_the_same_weights(tmp_path, layout):
    source = read_source(write_tagger(tmp_path / "model", layout))
    expected = random_weights() | {f"crf.{name}": value for name, value in crf_weights().items()}
    assert source.weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(source.weights[name], value)
    assert source.labels == BIO


def test_layout_determines_tokenisation(tmp_path):
    options = {layout: read_source(write_tagger(tmp_path / layout, layout)) for layout in LAYOUTS}
    assert {layout: source.options.split for layout, source in options.items() if layout != "adaseq"} == dict.fromkeys(
        set(LAYOUTS) - {"adaseq"}, "words"
    )
    assert options["adaseq"].options.split == "characters"
    assert {source.options.label_mask for source in options.values()} == {"first"}
    assert options["modelscope"].spans == "modelscope"
    assert options["adaseq"].spans == options["transformers"].spans == "conll"


def test_preprocessor_sets_split_and_length(tmp_path):
    folder = write_tagger(tmp_path / "model")
    edit_json(folder / "configuration.json", preprocessor={"val": {"is_split_into_words": True, "max_length": 20}})
    options = read_source(folder).options
    assert (options.split, options.max_length) == ("characters", 20)


def test_old_names_of_layer_norms_are_mapped():
    assert canonical_name("bert.encoder.layer.3.output.LayerNorm.gamma") == "encoder.layer.3.output.LayerNorm.weight"
    assert canonical_name("module.bert.embeddings.LayerNorm.beta") == "embeddings.LayerNorm.bias"
    assert canonical_name("lstm.weight_ih_l0") == "lstm.weight_ih_l0"


def test_softmax_head_gets_a_zero_crf(tmp_path):
    source = read_source(write_tagger(tmp_path / "model", "transformers", crf=False))
    assert not any(source.weights[f"crf.{name}"].any() for name in crf_weights())


@pytest.mark.parametrize("part", list(crf_weights()))
def test_incomplete_crf_is_rejected(tmp_path, part):
    folder = write_tagger(tmp_path / "model")
    edit_weights(folder, remove=f"head.crf.{part}")
    with pytest.raises(ConversionError, match=f"lacks crf.{part}"):
        read_source(folder)


@pytest.mark.parametrize(
    "place",
    [
        ("label_mapping.json", {label: n for n, label in enumerate(BIOES)}),
        ("configuration.json", {"model": {"type": "transformer-crf", "id2label": dict(enumerate(BIOES))}}),
        ("configuration.json", {"model": {"type": "x", "id_to_label": dict(enumerate(BIOES))}}),
        ("configuration.json", {"preprocessor": {"label2id": {label: n for n, label in enumerate(BIOES)}}}),
        ("config.json", {"id2label": None, "label2id": {label: n for n, label in enumerate(BIOES)}}),
        ("config.json", {"id2label": dict(enumerate(BIOES)), "label2id": {f"LABEL_{n}": n for n in range(7)}}),
        ("config.json", {"label2id": {x: n for n, x in enumerate(BIOES)}, "id2label": {0: "LABEL_0", 1: "LABEL_1"}}),
    ],
)
def test_labels_are_found_in_all_known_places(tmp_path, place):
    folder = write_tagger(tmp_path / "model")
    edit_json(folder / place[0], **place[1])
    assert read_source(folder).labels == BIOES


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "Aé", ["a", "##e"]),
        ({"do_lower_case": False}, "Aa", ["A", "##a"]),
        ({"do_lower_case": False}, "é", ["[UNK]"]),
        ({"do_lower_case": False, "strip_accents": True}, "é", ["e"]),
        ({"unk_token": {"content": "[PAD]"}}, "龘", ["[PAD]"]),
        ({"tokenize_chinese_chars": False}, "啊啊", ["[UNK]"]),
        ({}, "啊[SEP]", ["啊", "[UNK]", "[UNK]", "[UNK]"]),
    ],
)
def test_tokenizer_follows_its_configuration(tmp_path, options, text, expected):
    folder = write_tagger(tmp_path / "model")
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "A", "e", "##a", "##e", "啊"]
    known += [f"[unused{n}]" for n in range(VOCABULARY - len(known))]
    (folder / "vocab.txt").write_text("\n".join(known) + "\n", "utf-8")
    edit_json(folder / "tokenizer_config.json", **options)
    source = read_source(folder)
    ids = WordTokenizer(source.tokenizer, source.options).encode(text).ids
    assert [known[index] for index in ids] == expected


def test_special_tokens_of_tokenizer_json_are_ignored(tmp_path):
    folder = write_tagger(tmp_path / "model", "transformers")
    made = json.loads(read_source(folder).tokenizer)
    special = {"id": 3, "content": "[SEP]", "special": True, "single_word": False, "lstrip": False, "rstrip": False}
    made |= {"added_tokens": [special | {"normalized": False}], "truncation": None}
    (folder / "tokenizer.json").write_text(json.dumps(made), "utf-8")
    (folder / "vocab.txt").unlink()
    source = read_source(folder)
    assert 3 not in WordTokenizer(source.tokenizer, source.options).encode("a[SEP]").ids


def edit_weights(folder, remove=None, **changes):
    state = load_file(folder / "model.safetensors")
    state.pop(remove, None)
    save_file(state | changes, folder / "model.safetensors")


def edit_config(folder, **changes):
    edit_json(folder / "config.json", **changes)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def shorten_vocabulary(folder):
    (folder / "vocab.txt").write_text("\n".join(tokens()[:-3]), "utf-8")


def lengthen_vocabulary(folder):
    (folder / "vocab.txt").write_text("\n".join([*tokens(), "more"]), "utf-8")


BAD = {
    "no folder": (lambda f: f.rename(f.parent / "elsewhere"), "does not exist"),
    "truncated": (truncate, "truncated or damaged"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "no numbers": (lambda f: edit_weights(f, **{"head.linear.bias": np.full(7, np.nan, "f4")}), "linear.bias"),
    "unknown key": (lambda f: edit_weights(f, **{"lstm.weight": np.zeros(3)}), "lstm.weight"),
    "another shape": (lambda f: edit_weights(f, **{"head.linear.bias": np.zeros(3, "f4")}), r"linear.bias of shape"),
    "twice": (lambda f: edit_weights(f, **{"linear.bias": np.zeros(7, "f4")}), "the same weight"),
    "short vocabulary": (shorten_vocabulary, "47 tokens but the embedding has 50 rows"),
    "long vocabulary": (lengthen_vocabulary, "51 tokens but the embedding has 50 rows"),
    "no vocabulary": (lambda f: (f / "vocab.txt").unlink(), "no vocabulary"),
    "no JSON": (lambda f: (f / "config.json").write_text("{", "utf-8"), "is not valid JSON"),
    "nested JSON": (lambda f: (f / "config.json").write_text('{"a":' * 100_000, "utf-8"), "is not valid JSON"),
    "no object": (lambda f: (f / "configuration.json").write_text("[]", "utf-8"), "does not contain a JSON object"),
    "no layers": (lambda f: edit_config(f, num_hidden_layers=None), "num_hidden_layers"),
    "odd heads": (lambda f: edit_config(f, num_attention_heads=3), "3 heads"),
    "another encoder": (lambda f: edit_config(f, model_type="deberta-v2"), "deberta-v2"),
    "another activation": (lambda f: edit_config(f, hidden_act="silu"), "silu"),
    "relative positions": (lambda f: edit_config(f, position_embedding_type="relative_key"), "relative_key"),
    "decoder": (lambda f: edit_config(f, is_decoder=True), "decoder"),
    "no labels": (lambda f: edit_config(f, id2label=None), "has no labels"),
    "no scheme": (lambda f: edit_config(f, id2label={0: "good", 1: "bad"}), "do not form a tagging scheme"),
    "no names": (lambda f: edit_config(f, id2label={n: f"LABEL_{n}" for n in range(7)}), "label O is missing"),
    "gap in labels": (lambda f: edit_config(f, id2label={0: "O", 2: "B-PER"}), "from 0 to 1"),
    "fewer labels": (lambda f: edit_config(f, id2label={0: "O", 1: "B-X", 2: "I-X"}), r"of shape \[7"),
    "T5 tokenizer": (lambda f: edit_json(f / "tokenizer_config.json", tokenizer_class="T5Tokenizer"), "T5Tokenizer"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_invalid_tagger_is_rejected_with_one_line(tmp_path, kind):
    folder = write_tagger(tmp_path / "model")
    damage, message = BAD[kind]
    damage(folder)
    with pytest.raises(ConversionError, match=message) as error:
        read_source(folder)
    assert "\n" not in str(error.value)
