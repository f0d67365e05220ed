"""Read hanner's spaCy output with spaCy itself, and run the spaCy guide: `make test-spacy`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from spacy.tokens import DocBin
from spacy.training import Example

import spacy
from hanner.cli.formats import FormatName, line_format
from hanner.cli.io.outputs import DocBinFile
from support.markdown import python_blocks
from support.sample_records import records
from support.servers import redis_server
from support.stub_worker import StubWorker

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "spacy.md"


@pytest.fixture
def server():
    with redis_server() as running:
        yield running


def spans(doc):
    return [(ent.text, ent.label_, ent.start_char, ent.end_char) for ent in doc.ents]


def expected(record):
    return [(e.text, e.type, e.start, e.end) for e in record.document.entities]


def test_docbin_contains_all_texts_that_did_not_fail(tmp_path):
    path = tmp_path / "out.spacy"
    output = DocBinFile(path)
    for record in records():
        output.write(record)
    output.finish()
    docs = list(DocBin().from_disk(path).get_docs(spacy.blank("zh").vocab))
    kept = [record for record in records() if record.document.error is None]
    assert [doc.text for doc in docs] == [record.text for record in kept]
    assert [spans(doc) for doc in docs] == [expected(record) for record in kept]


def test_example_from_dict_accepts_the_lines():
    nlp = spacy.blank("zh")
    for record in records():
        line = json.loads(line_format(FormatName.SPACY).render(record))
        example = Example.from_dict(nlp.make_doc(line["text"]), {"entities": line["entities"]})
        assert spans(example.reference) == expected(record)


def test_command_writes_a_corpus_for_spacy_train(server, tmp_path):
    out = tmp_path / "train.spacy"
    with StubWorker(server.url):
        subprocess.run(
            [
                sys.executable,
                "-c",
                "from hanner.cli import main; main()",
                "extract",
                "昨天马云",
                "没有",
                "-o",
                str(out),
            ],
            env=os.environ | {"HANNER_BROKER_URL": server.url},
            check=True,
            timeout=100,
        )
    read = list(spacy.training.Corpus(out)(spacy.blank("zh")))
    assert [spans(example.reference) for example in read] == [[("马云", "PER", 2, 4)], []]


def test_guide_runs(server):
    with StubWorker(server.url):
        ended = subprocess.run(
            [sys.executable, "-c", "\n".join(python_blocks(GUIDE))],
            env=os.environ | {"HANNER_BROKER_URL": server.url},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["马云在杭州 [('马云', 'PER')]", "没有人 []"]
