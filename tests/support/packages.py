"""A tiny model package with random weights: all files of a real one, about 300 KB, created in milliseconds.

Its graph has masked self-attention over the whole window, so scores change if padding or other texts leak into it. It
finds many meaningless entities.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from hanner_inference.decoding.crf import Crf
from hanner_inference.package import CRF, MODEL, TOKENIZER, Manifest, write_manifest
from hanner_inference.tokenization.options import TokenizerOptions

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
WIDTH = 16


def write_tiny_package(folder, *, labels=BIO, max_length=64, seed=7, spans="conll", **options) -> Path:
    """Write a package into `folder` and return its path; `options` are those of the tokenizer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(folder / TOKENIZER))
    (folder / MODEL).write_bytes(tiny_graph(tokenizer.get_vocab_size(), len(labels), random).SerializeToString())
    (folder / CRF).write_bytes(tiny_crf(len(labels), random).to_bytes())
    manifest = Manifest(
        name="tiny",
        source="tests/support/packages.py",
        revision=str(seed),
        labels=labels,
        spans=spans,
        tokenizer=TokenizerOptions(lowercase=True, half_width=True, max_length=max_length, **options),
        licences=("Apache-2.0",),
    )
    write_manifest(folder, manifest)
    return folder


def gb2312(end=0xF8) -> list[str]:
    """Return the Chinese characters of GB 2312: 6,763, or 3,755 with the `end` 0xD8."""
    chinese = bytes(byte for row in range(0xB0, end) for cell in range(0xA1, 0xFF) for byte in (row, cell))
    return list(dict.fromkeys(chinese.decode("gb2312", errors="ignore")))


def tiny_tokenizer() -> Tokenizer:
    """Return a WordPiece tokenizer with the 3,755 most common Chinese characters and printable ASCII."""
    characters = [
        *gb2312(0xD8),
        *map(chr, range(0x21, 0x7F)),
        *"，。！？、“”",
    ]
    pieces = ["##" + character for character in map(chr, range(0x21, 0x7F)) if character.isalnum()]
    vocabulary = {
        token: number for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *pieces])
    }
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=False
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def tiny_crf(labels, random) -> Crf:
    shapes = ((labels,), (labels,), (labels, labels))
    return Crf(*(random.normal(0, 0.5, shape).astype(np.float32).astype(np.float64) for shape in shapes))


def tiny_graph(vocabulary, labels, random) -> onnx.ModelProto:
    """Return a graph of embedding, masked self-attention, tanh and a linear layer."""
    weights = {
        "embedding": random.normal(0, 1, (vocabulary, WIDTH)),
        "scale": np.array(WIDTH**-0.5),
        "one": np.array(1.0),
        "far": np.array(-1e4),
        "mix": random.normal(0, WIDTH**-0.5, (WIDTH, WIDTH)),
        "output": random.normal(0, 1, (WIDTH, labels)),
        "bias": random.normal(0, 0.5, labels),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["embedding", "input_ids"], ["embedded"]),
        node("Transpose", ["embedded"], ["turned"], perm=[0, 2, 1]),
        node("MatMul", ["embedded", "turned"], ["products"]),
        node("Mul", ["products", "scale"], ["scaled"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Sub", ["one", "mask"], ["absent"]),
        node("Mul", ["absent", "far"], ["penalty"]),
        node("Unsqueeze", ["penalty", "middle"], ["penalties"]),
        node("Add", ["scaled", "penalties"], ["attention_scores"]),
        node("Softmax", ["attention_scores"], ["attention"], axis=-1),
        node("MatMul", ["attention", "embedded"], ["context"]),
        node("Add", ["embedded", "context"], ["summed"]),
        node("MatMul", ["summed", "mix"], ["mixed"]),
        node("Tanh", ["mixed"], ["hidden"]),
        node("MatMul", ["hidden", "output"], ["unbiased"]),
        node("Add", ["unbiased", "bias"], ["logits"]),
    ]
    initialisers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initialisers.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "middle"))
    ids = [
        helper.make_tensor_value_info(n, TensorProto.INT64, ["rows", "length"]) for n in ("input_ids", "attention_mask")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", "length", labels])
    graph = helper.make_graph(nodes, "tiny", ids, [logits], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
