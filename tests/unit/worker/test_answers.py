"""From requests to results: every request has its own result, which does not depend on the others of its batch."""

import pickle
from dataclasses import dataclass

import pytest

from hanner.contract import EXTRACT, EXTRACT_MANY
from hanner.errors import InvalidText, ModelFailed
from hanner.results import Entity
from hanner_worker.delivery.inflight import Outcome
from hanner_worker.execution.batch import BatchInference, BatchReport, Interrupted, RequestResult
from hanner_worker.payload import TaskPayload, dump_payloads, get_argument, load_payloads, texts_of
from support.fakes.recogniser import FakeRecogniser


@dataclass
class Stats:
    windows: int


class Model:
    """Finds the whole text as an entity; fails on `bad`, and returns too few results for `lost`."""

    def __init__(self):
        self.runs = []

    def run(self, texts):
        self.runs.append(texts)
        if "bad" in texts:
            raise ValueError(f"the texts: {texts}")
        if "stop" in texts:
            raise TimeoutError
        found = [[Entity(text=t, type="ORG", start=0, end=len(t), score=0.5)] if t else [] for t in texts]
        return found[: -1 if "lost" in texts else None], Stats(len(texts))


@pytest.fixture
def model():
    return Model()


def answers(model, *payloads, **options):
    return BatchInference(model, "m@1", 10, **options).answer(payloads)


def one(text, number=0):
    return TaskPayload(str(number), EXTRACT, [text], {})


def many(*texts):
    return TaskPayload("many", EXTRACT_MANY, [list(texts)], {})


def test_requests_and_reports_pass_the_pipe_unchanged():
    payload = TaskPayload("1", EXTRACT, ["甲"], {}, "g", "p", True, {"chain": []}, "tag", 2, b"progress", "channel")
    (loaded,) = load_payloads(dump_payloads([payload]))
    assert (type(loaded), loaded) == (TaskPayload, payload)
    results = [RequestResult(outcome, "summary", "code", b"progress") for outcome in Outcome]
    report = pickle.loads(pickle.dumps(BatchReport(results, 0.5, {"tokens": 3})))
    assert report == BatchReport(results, 0.5, {"tokens": 3})
    assert type(report) is BatchReport
    assert [(type(result), result.outcome) for result in report.results] == [(RequestResult, o) for o in Outcome]
    assert all(result.outcome is outcome for result, outcome in zip(report.results, Outcome, strict=True))


def test_all_texts_of_all_requests_go_to_the_model_together(model):
    found, stats = answers(model, one("甲"), many("乙", "丙"))
    assert model.runs == [["甲", "乙", "丙"]]
    assert stats == {"windows": 3, "repeated": 0, "cached": 0}
    assert found[0].result == {
        "entities": [{"text": "甲", "type": "ORG", "start": 0, "end": 1, "score": 0.5}],
        "model": "m@1",
    }
    assert [document["entities"][0]["text"] for document in found[1].result["documents"]] == ["乙", "丙"]


def test_the_same_text_is_inferred_once(model):
    found, stats = answers(model, one("甲"), many("乙", "甲", "乙"), one("甲"))
    assert model.runs == [["甲", "乙"]]
    assert stats == {"windows": 2, "repeated": 3, "cached": 0}
    assert found[0].result == found[2].result
    assert [document["entities"][0]["text"] for document in found[1].result["documents"]] == ["乙", "甲", "乙"]


class FakeCache:
    def __init__(self):
        self.entries = {}

    def get(self, texts):
        return {text: self.entries[text] for text in texts if text in self.entries}

    def put(self, found):
        self.entries.update(found)


def test_a_cached_text_is_not_inferred_and_failures_are_not_cached(model):
    cache = FakeCache()
    answers(model, one("甲"), one("bad"), one("字" * 11), cache=cache)
    assert cache.entries.keys() == {"甲"}
    model.runs.clear()
    found, stats = answers(model, one("甲"), many("甲", "乙"), cache=cache)
    assert model.runs == [["乙"]]
    assert stats == {"windows": 1, "repeated": 1, "cached": 1}
    assert found[0].result["entities"] == [{"text": "甲", "type": "ORG", "start": 0, "end": 1, "score": 0.5}]
    assert cache.entries.keys() == {"甲", "乙"}


def test_validation_returns_each_text_with_its_error():
    (text, error), (other, other_error) = many("甲", "字" * 11).validate(10)
    assert (text, error, other) == ("甲", None, "字" * 11)
    assert isinstance(other_error, InvalidText)
    assert one("甲").validate(10) == [("甲", None)]
    with pytest.raises(InvalidText, match="texts is empty"):
        many().validate(10)


def test_an_invalid_request_is_not_sent_to_the_model(model):
    found, _ = answers(model, one("字" * 11), one(None), one("甲"), TaskPayload("w", EXTRACT, [], {}), many())
    assert model.runs == [["甲"]]
    assert [isinstance(answer.result, InvalidText) for answer in found] == [True, True, False, True, True]


def test_a_text_that_fails_the_model_fails_alone(model):
    found, _ = answers(model, one("甲"), one("bad"), many("乙", "bad"))
    assert model.runs == [["甲", "bad", "乙"], ["甲"], ["bad", "乙"], ["bad"], ["乙"]]
    assert isinstance(found[1].result, ModelFailed)
    documents = found[2].result["documents"]
    assert documents[0]["entities"]
    assert documents[1]["error"]["code"] == "model_failed"


def test_the_text_that_fails_the_model_is_found_by_halving(model):
    found, _ = answers(model, *(one(str(n)) for n in range(40)), one("bad"), *(one(str(n)) for n in range(40, 63)))
    assert [isinstance(answer.result, ModelFailed) for answer in found] == [n == 40 for n in range(64)]
    assert len(model.runs) == 1 + 2 * 6  # both halves of 64, of 32 and so on


def test_a_model_that_returns_too_few_results_fails(model):
    found, _ = answers(model, one("甲"), one("lost"))
    assert found[0].result["entities"]
    assert isinstance(found[1].result, ModelFailed)


def test_a_batch_without_valid_texts_does_not_run_the_model(model):
    answers(model, one(3))
    assert model.runs == []


def test_fatal_errors_are_raised(model):
    with pytest.raises(TimeoutError):
        answers(model, one("stop"), fatal_errors=(TimeoutError,))


def test_summaries_contain_the_text_only_if_it_may_be_logged(model, caplog):
    assert answers(model, one("秘密"))[0][0].summary == "1 entities, 2 characters"
    assert "秘密" in answers(model, one("秘密"), log_text=True)[0][0].summary
    assert "秘密" not in repr(one("秘密"))
    answers(model, one("bad"))
    assert "the texts: [" not in caplog.text
    answers(model, one("bad"), log_text=True)
    assert "the texts: [" in caplog.text


@pytest.mark.parametrize(
    ("task", "args", "kwargs"),
    [
        (EXTRACT, [], {}),
        (EXTRACT, ["a", "b"], {}),
        (EXTRACT, ["a"], {"text": "a"}),
        (EXTRACT, [], {"texts": "a"}),
        (EXTRACT_MANY, [], {"text": ["a"]}),
        (EXTRACT, "a", {}),
        (EXTRACT, None, None),
    ],
)
def test_a_request_has_one_argument_with_one_name(task, args, kwargs):
    with pytest.raises(InvalidText, match="takes one argument"):
        get_argument(task, args, kwargs)
    assert texts_of(task, args, kwargs) == []


def test_an_argument_is_passed_by_position_or_by_name():
    assert get_argument(EXTRACT, ["a"], {}) == get_argument(EXTRACT, (), {"text": "a"}) == "a"
    assert get_argument(EXTRACT_MANY, [], {"texts": ["a"]}) == ["a"]
    assert texts_of(EXTRACT_MANY, [["a", "b"]], {}) == ["a", "b"]
    assert texts_of(EXTRACT_MANY, ["ab"], {}) == []


class SlowModel(FakeRecogniser):
    """Finds each text as an entity; `runs` has the texts of each part."""

    def __init__(self):
        super().__init__("slow", self.find)
        self.runs = []

    def find(self, texts):
        self.runs.append(texts)
        return [[{"text": t, "type": "ORG", "start": 0, "end": len(t), "score": 0.5}] for t in texts]


def test_an_interrupted_request_continues_where_it_was():
    model, texts = SlowModel(), [character * 300 for character in "甲乙丙"]
    options = {"max_chars": 300, "is_interrupted": lambda: True, "part_tokens": 1}
    payload, parts = many(*texts, 7), []
    while True:
        (answer,), _ = BatchInference(model, "m@1", **options).answer([payload])
        if not isinstance(answer, Interrupted):
            break
        parts.append(answer)
        payload = payload._replace(progress=answer.progress)
    assert model.runs == [[text] for text in texts]
    assert len(parts) == 2
    documents = answer.result["documents"]
    assert [document["entities"][0]["text"] for document in documents[:3]] == texts
    assert documents[3]["error"]["code"] == "invalid_text"


def test_finished_requests_of_an_interrupted_batch_are_answered():
    model = SlowModel()
    payloads = [one("甲" * 300), one("乙" * 300, 1), many("丙"), one("甲" * 300, 3)]
    options = {"is_interrupted": lambda: True, "part_tokens": 1}
    found, stats = BatchInference(model, "m@1", 300, **options).answer(payloads)
    assert [isinstance(answer, Interrupted) for answer in found] == [False, True, True, False]
    assert found[3].result["entities"][0]["text"] == "甲" * 300
    assert stats["repeated"] == 1


def test_a_model_that_fails_in_an_interruptible_batch_fails_alone():
    class Failing(SlowModel):
        def find(self, texts):
            if "坏" in texts:
                raise ValueError
            return super().find(texts)

    found, _ = BatchInference(Failing(), "m@1", 10, is_interrupted=lambda: True).answer([one("坏"), one("好", 1)])
    assert isinstance(found[0].result, ModelFailed)
    assert found[1].result["entities"][0]["text"] == "好"
