"""Scores of cases that were counted by hand."""

from hanner.results import Entity
from hanner_models.data.datasets import Sentence, Span
from hanner_models.evaluation.evaluate import agreement, evaluate, known_names, score


def entity(kind, start, end):
    return Entity(text="x" * (end - start), type=kind, start=start, end=end, score=0.9)


SENTENCES = [
    Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5))),
    Sentence("阿里巴巴", (Span("ORG", 0, 4),)),
    Sentence("没有", ()),
]


def test_entity_is_correct_if_type_start_and_end_agree():
    found = [[entity("PER", 0, 2), entity("ORG", 3, 5)], [entity("ORG", 0, 3)], [entity("LOC", 0, 2)]]
    result = score(SENTENCES, found)
    assert (result.total.gold, result.total.predicted, result.total.correct) == (3, 4, 1)
    assert result.total.precision == 1 / 4
    assert result.total.recall == 1 / 3
    assert result.total.f1 == 2 / 7
    assert result.types["PER"].f1 == 1.0
    assert result.types["LOC"].f1 == 0.0
    assert (result.types["ORG"].gold, result.types["ORG"].predicted) == (1, 2)
    assert (result.texts, result.characters) == (3, 11)


def test_scores_without_entities_are_zero():
    result = score([Sentence("没有", ())], [[]])
    assert (result.total.precision, result.total.recall, result.total.f1) == (0.0, 0.0, 0.0)


def test_texts_are_extracted_in_batches_with_progress():
    seen, done = [], []

    def extract(texts):
        seen.append(list(texts))
        return [[] for _ in texts]

    evaluate(extract, SENTENCES, batch_size=2, progress=done.append)
    assert seen == [["马云在杭州", "阿里巴巴"], ["没有"]]
    assert done == [2, 1]


def test_agreement_ignores_scores():
    one = [[entity("PER", 0, 2)], [entity("ORG", 0, 4)]]
    other = [[Entity(**entity("PER", 0, 2) | {"score": 0.1})], []]
    assert agreement(one, other) == 0.5
    assert agreement([], []) == 1.0


def test_seen_and_unseen_entities_are_counted_separately():
    known = known_names([Sentence("马云和ＩＢＭ", (Span("PER", 0, 2), Span("ORG", 3, 6)))])
    sentences = [
        Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5))),
        Sentence("ibm", (Span("ORG", 0, 3),)),
        Sentence("马云", (Span("ORG", 0, 2),)),
    ]
    found = [[entity("PER", 0, 2), entity("PER", 3, 5)], [entity("ORG", 0, 3)], []]
    result = evaluate(lambda _: found, sentences, known=known)
    assert (result.seen.gold, result.seen.predicted, result.seen.correct) == (2, 2, 2)
    assert (result.unseen.gold, result.unseen.predicted, result.unseen.correct) == (2, 1, 0)
    assert result.to_dict()["unseen"]["recall"] == 0.0
    assert result.to_dict()["seen"]["f1"] == 1.0


def test_results_are_plain_json_without_optional_parts():
    figures = score(SENTENCES, [[entity("PER", 0, 2)], [], []]).to_dict()
    assert figures["all"] == {"precision": 1.0, "recall": 0.3333, "f1": 0.5, "names": 3, "found": 1, "correct": 1}
    assert list(figures["types"]) == ["LOC", "ORG", "PER"]
    assert figures["errors"]["missed"] == 2
    assert "seen" not in figures
    assert figures["texts_per_second"] is None
