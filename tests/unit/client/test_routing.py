"""Which queue a model has, and which list a request goes to."""

import pytest

from hanner import InvalidSettings, Settings, UnknownModel
from hanner.queue.routing import Destination, Priority, queue_of, read_routes, unknown


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("", {}),
        ("news=a", {"news": "a"}),
        (" news = a , weibo=b.c, ", {"news": "a", "weibo": "b.c"}),
        ("news=a,news=a", {"news": "a"}),
        ("x=a=b", {"x": "a=b"}),
    ],
)
def test_routes_are_read(text, routes):
    assert read_routes(text) == routes


@pytest.mark.parametrize("text", ["news", "=a", "news=", "ne ws=a", "news=a.bulk", "a=b,c", "news=a,news=b"])
def test_routes_that_cannot_be_read_are_refused_at_once(text):
    with pytest.raises(InvalidSettings, match=r"HANNER_ROUTES cannot be used: .*(model=queue|two queues)"):
        Settings.from_env({"HANNER_ROUTES": text})


def test_a_model_without_a_route_has_a_queue_named_after_it():
    assert queue_of("news", {}) == "hanner.news"
    assert queue_of("news", {"news": "elsewhere"}) == "elsewhere"
    assert queue_of("bulk", {"bulk": "elsewhere"}) == "elsewhere"


@pytest.mark.parametrize("name", ["", "bulk", "a.bulk", "a b", "-a", ".", "新闻", "a" * 101, "a\n"])
def test_names_that_no_model_can_have(name):
    with pytest.raises(UnknownModel, match="no model can be called"):
        queue_of(name, {})


def test_the_error_says_what_to_do():
    told = str(unknown("news", "hanner.news", {"weibo": "b", "base": "a"}))
    assert "no worker of model 'news' has ever run here; HANNER_ROUTES names base, weibo" in told
    assert "start a worker with HANNER_QUEUE=hanner.news and HANNER_MODEL" in told


def test_the_lists_of_a_destination():
    assert Destination("hanner", Priority.INTERACTIVE).list == "hanner"
    assert Destination("hanner.news", Priority.BULK).list == "hanner.news.bulk"
