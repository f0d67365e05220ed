"""INT8 compared with ModelScope's pipeline on a trained checkpoint; with random weights, labels differ by rounding.

A small tagger of ModelScope's own class is trained for a minute on the corpus next to the repository. Set
HANNER_CHECKPOINT=FOLDER to use another trained one, in ModelScope's layout or from `hanner model train`, which is
converted to it. HANNER_TEXTS is the number of texts to compare.
"""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from hanner_inference.tokenization.tokens import WordTokenizer
from hanner_models.conversion.convert import convert, open_recogniser
from hanner_models.data.datasets import read_sentences
from hanner_models.source import read_source
from support.modelscope_folders import BIOES, DATA, convert_layout, open_pipeline, write_folder, write_weights

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, ROWS, LENGTH = 240, 32, 64
CORPUS = DATA / "ner" / "msra.train.jsonl"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, vocabulary):
    if given := os.environ.get("HANNER_CHECKPOINT"):
        given = Path(given)
        if (given / "configuration.json").exists():
            return given
        if read_source(given).shape.bigrams:
            pytest.skip(f"{given} has bigram embeddings, which ModelScope's models do not support")
        return convert_layout(given, tmp_path_factory.mktemp("trained") / "model")
    if not CORPUS.is_file():
        pytest.skip("there is no corpus; set HANNER_DATA to its folder, or HANNER_CHECKPOINT to a model")
    preprocessor = {"is_split_into_words": True, "padding": False}
    folder = tmp_path_factory.mktemp("trained") / "model"
    write_weights(write_folder(folder, vocabulary, preprocessor=preprocessor, initializer_range=0.05))
    train(folder)
    return folder


def train(folder):
    """Train the checkpoint in `folder` with ModelScope's model and CRF, and save it there."""
    import torch
    from modelscope.models.nlp.task_models.token_classification import ModelForTokenClassificationWithCRF

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ModelForTokenClassificationWithCRF(str(folder))
    source = read_source(folder)
    tokenizer = WordTokenizer(source.tokenizer, source.options)
    sentences = [s for s in read_sentences(CORPUS)[: STEPS * ROWS] if 0 < len(s.text) <= LENGTH]
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for step in range(STEPS):
        part = [sentences[number % len(sentences)] for number in range(step * ROWS, (step + 1) * ROWS)]
        ids = torch.zeros(ROWS, LENGTH + 2, dtype=torch.long)
        tags = torch.zeros(ROWS, LENGTH + 2, dtype=torch.long)
        for row, sentence in enumerate(part):
            tokens = [tokenizer.cls_id, *tokenizer.encode(sentence.text).ids, tokenizer.sep_id]
            ids[row, : len(tokens)] = torch.tensor(np.array(tokens))
            tags[row, : len(sentence.text)] = torch.tensor(labels(sentence))
        real = ids > 0
        masked = real.clone()
        masked[:, 0] = False
        masked[ids == tokenizer.sep_id] = False
        logits = model(input_ids=ids, attention_mask=real.long(), label_mask=masked).logits
        inside = torch.arange(LENGTH + 2) < masked.sum(1, keepdim=True)
        loss = -model.head.crf(logits, tags, mask=inside, reduction="mean")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - step / STEPS)
        optimiser.step()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def labels(sentence):
    """Return the BIOES label of each character."""
    tags = [0] * len(sentence.text)
    for span in sentence.spans:
        prefixes = "S" if span.end - span.start == 1 else "B" + "I" * (span.end - span.start - 2) + "E"
        for index, prefix in zip(range(span.start, span.end), prefixes, strict=True):
            tags[index] = BIOES.index(f"{prefix}-{span.type}")
    return tags


def test_int8_matches_modelscope(trained, tmp_path, corpus, capsys):
    source = read_source(trained)
    package = convert(source, tmp_path / "out", name="trained")
    texts = [text for text in corpus if text.strip() and len(text) < source.options.max_length - 12]
    texts = texts[:: max(1, len(texts) // int(os.environ.get("HANNER_TEXTS", "600")))]
    pipeline = open_pipeline(trained)
    theirs = [pipeline(text) for text in texts]
    ours = [[(e.type, e.start, e.end) for e in found] for found in open_recogniser(package).extract(texts)]
    same = sum(a == b for a, b in zip(theirs, ours, strict=True)) / len(texts)
    common = sum(len(set(a) & set(b)) for a, b in zip(theirs, ours, strict=True))
    f1 = 2 * common / max(1, sum(map(len, theirs)) + sum(map(len, ours)))
    with capsys.disabled():
        print(f"\n{len(texts)} texts: {same:.2%} with the same entities in INT8, F1 compared with FP32 {f1:.4f}")  # noqa: T201
        print(json.dumps({"scheme": package.manifest.quantisation["scheme"], **package.manifest.verification}))  # noqa: T201
    assert sum(map(len, theirs)) > len(texts) / 10
    assert f1 > 0.98
