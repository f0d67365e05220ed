"""The measurements of `hanner bench`."""

from itertools import count

from hanner.cli.bench import DISTINCT_TEXTS, format_result, measure_model


class Recogniser:
    model = "m@1"

    def __init__(self):
        self.sizes = []

    def extract(self, texts):
        self.sizes.append(len(texts))
        return [[] for _ in texts]


def ticking(step):
    ticks = count()
    return lambda: next(ticks) * step


def test_single_texts_are_measured_before_batches():
    recogniser = Recogniser()
    result = measure_model(recogniser, 100.0, ticking(0.1))
    assert recogniser.sizes[:28] == [1] * 28
    assert sum(recogniser.sizes[28:]) == result.texts
    assert max(recogniser.sizes) == 64
    assert 900 < result.texts < 1000  # one tick for each text, and one each for start and end
    assert result.alone_ms == 100.0
    assert result.model == "m@1"
    assert result.as_dict()["texts_per_second"] == round(result.texts / result.seconds, 1)
    assert DISTINCT_TEXTS >= 1000


def test_slow_single_texts_are_measured_less_often():
    recogniser = Recogniser()
    measure_model(recogniser, 1.0, ticking(1.0))
    assert recogniser.sizes.count(1) == 5


def test_result_has_three_lines():
    text = format_result(measure_model(Recogniser(), 1.0, ticking(0.01)))
    assert text.count("\n") == 2
    assert "texts/s" in text
