"""The queue of a model, and the list of a request."""

import pytest

from hanner import InvalidSettings, Settings, UnknownModel
from hanner.queue.routing import Destination, Priority, parse_routes, queue_of, unknown_model_error


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
def test_routes_are_parsed(text, routes):
    assert parse_routes(text) == routes


@pytest.mark.parametrize("text", ["news", "=a", "news=", "ne ws=a", "news=a.bulk", "a=b,c", "news=a,news=b"])
def test_invalid_routes_are_rejected(text):
    with pytest.raises(InvalidSettings, match=r'HANNER_ROUTES is ".*", but .*(model=queue|two queues)'):
        Settings.from_env({"HANNER_ROUTES": text})


def test_model_without_a_route_has_a_queue_with_its_name():
    assert queue_of("news", {}) == "hanner.news"
    assert queue_of("news", {"news": "elsewhere"}) == "elsewhere"
    assert queue_of("bulk", {"bulk": "elsewhere"}) == "elsewhere"


@pytest.mark.parametrize("name", ["", "bulk", "a.bulk", "a b", "-a", ".", "新闻", "a" * 101, "a\n"])
def test_invalid_model_names_are_rejected(name):
    with pytest.raises(UnknownModel, match="is not a valid model name"):
        queue_of(name, {})


def test_unknown_model_error_has_the_next_step():
    message = str(unknown_model_error("news", "hanner.news", {"weibo": "b", "base": "a"}))
    assert "no worker of model 'news' has ever run here; HANNER_ROUTES names base, weibo" in message
    assert "start a worker with HANNER_QUEUE=hanner.news and HANNER_MODEL" in message


def test_the_lists_of_a_destination():
    assert Destination("hanner", Priority.INTERACTIVE).list == "hanner"
    assert Destination("hanner.news", Priority.BULK).list == "hanner.news.bulk"
