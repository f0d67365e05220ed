"""Texts and vocabulary for synthetic checkpoints: `make test-modelscope`."""

import json
import string

import pytest

from hanner_models.conversion.calibration_data import built_in_sentences
from support.modelscope_folders import DATA


@pytest.fixture(scope="session")
def corpus():
    """A few thousand real texts if there is a corpus next to the repository, else the built-in sentences."""
    path = DATA / "ner" / "msra.dev.jsonl"
    if not path.is_file():
        return built_in_sentences()
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()] + built_in_sentences()


@pytest.fixture(scope="session")
def vocabulary(corpus):
    """Characters of half of the corpus, so that the other half has unknown ones, and word pieces."""
    characters = sorted({c for text in corpus[::2] for c in text.lower() if c.isprintable() and not c.isspace()})
    pieces = ["##" + c for c in string.ascii_lowercase + string.digits] + ["the", "##ing", "20", "##08", "app", "##le"]
    single = [*characters, *string.ascii_lowercase, *string.digits, "ᄒ", "##ᅡ"]
    return list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *single, *pieces]))
