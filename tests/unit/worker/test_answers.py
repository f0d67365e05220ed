"""From requests to results: every request has its own end, whatever its neighbours are."""

from dataclasses import dataclass

import pytest

from hanner.contract import EXTRACT, EXTRACT_MANY, Entity
from hanner.errors import InvalidText, ModelFailed
from hanner_worker.execution.answers import BatchInference, TaskPayload, argument, texts_of


@dataclass
class Stats:
    windows: int


class Model:
    """Finds the whole text; fails on `bad`, and loses a text of `lost`."""

    def __init__(self):
        self.runs = []

    def run(self, texts):
        self.runs.append(texts)
        if "bad" in texts:
            raise ValueError(f"it said {texts}")
        if "stop" in texts:
            raise TimeoutError
        found = [[Entity(text=t, type="ORG", start=0, end=len(t), score=0.5)] if t else [] for t in texts]
        return found[: -1 if "lost" in texts else None], Stats(len(texts))


@pytest.fixture
def model():
    return Model()


def answers(model, *works, **options):
    return BatchInference(model, "m@1", 10, **options).answer(works)


def one(text, number=0):
    return TaskPayload(str(number), EXTRACT, [text], {})


def many(*texts):
    return TaskPayload("many", EXTRACT_MANY, [list(texts)], {})


def test_all_texts_of_all_requests_go_to_the_model_together(model):
    found, figures = answers(model, one("甲"), many("乙", "丙"))
    assert model.runs == [["甲", "乙", "丙"]]
    assert figures == {"windows": 3, "repeated": 0, "cached": 0}
    assert found[0].result == {
        "entities": [{"text": "甲", "type": "ORG", "start": 0, "end": 1, "score": 0.5}],
        "model": "m@1",
    }
    assert [document["entities"][0]["text"] for document in found[1].result["documents"]] == ["乙", "丙"]


def test_the_same_text_is_inferred_once(model):
    found, figures = answers(model, one("甲"), many("乙", "甲", "乙"), one("甲"))
    assert model.runs == [["甲", "乙"]]
    assert figures == {"windows": 2, "repeated": 3, "cached": 0}
    assert found[0].result == found[2].result
    assert [document["entities"][0]["text"] for document in found[1].result["documents"]] == ["乙", "甲", "乙"]


class Known(dict):
    """A memory that is a dict."""

    def recall(self, texts):
        return {text: self[text] for text in texts if text in self}

    learn = dict.update


def test_what_is_remembered_is_not_inferred_and_failures_are_not_remembered(model):
    memory = Known()
    answers(model, one("甲"), one("bad"), one("字" * 11), memory=memory)
    assert memory.keys() == {"甲"}
    model.runs.clear()
    found, figures = answers(model, one("甲"), many("甲", "乙"), memory=memory)
    assert model.runs == [["乙"]]
    assert figures == {"windows": 1, "repeated": 1, "cached": 1}
    assert found[0].result["entities"] == [{"text": "甲", "type": "ORG", "start": 0, "end": 1, "score": 0.5}]
    assert memory.keys() == {"甲", "乙"}


def test_a_bad_request_never_reaches_the_model(model):
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


def test_a_model_that_loses_texts_is_not_believed(model):
    found, _ = answers(model, one("甲"), one("lost"))
    assert found[0].result["entities"]
    assert isinstance(found[1].result, ModelFailed)


def test_nothing_valid_means_no_run(model):
    answers(model, one(3))
    assert model.runs == []


def test_fatal_errors_pass_through(model):
    with pytest.raises(TimeoutError):
        answers(model, one("stop"), fatal=(TimeoutError,))


def test_summaries_say_how_much_and_nothing_else_unless_asked(model, caplog):
    assert answers(model, one("秘密"))[0][0].summary == "1 entities, 2 characters"
    assert "秘密" in answers(model, one("秘密"), log_text=True)[0][0].summary
    assert "秘密" not in repr(one("秘密"))
    answers(model, one("bad"))
    assert "it said [" not in caplog.text
    answers(model, one("bad"), log_text=True)
    assert "it said [" in caplog.text


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
def test_there_is_one_argument_and_it_has_one_name(task, args, kwargs):
    with pytest.raises(InvalidText, match="takes one argument"):
        argument(task, args, kwargs)
    assert texts_of(task, args, kwargs) == []


def test_an_argument_comes_by_position_or_by_name():
    assert argument(EXTRACT, ["a"], {}) == argument(EXTRACT, (), {"text": "a"}) == "a"
    assert argument(EXTRACT_MANY, [], {"texts": ["a"]}) == ["a"]
    assert texts_of(EXTRACT_MANY, [["a", "b"]], {}) == ["a", "b"]
    assert texts_of(EXTRACT_MANY, ["ab"], {}) == []
