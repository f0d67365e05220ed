"""The page "Dead letters" of Flower."""

import urllib.parse

import pytest

from hanner import Client, WorkerLost
from hanner.queue.dead_letters import DeadLetters
from hanner.queue.keys import QueueKeys
from support.dead_letters import add_dead_letter
from support.flowers import flower
from support.servers import redis_server
from support.workers import worker

PATH = "/dead-letters"


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def monitor(server, tmp_path_factory):
    with flower(server.url, tmp_path_factory.mktemp("flower")) as running:
        yield running


@pytest.fixture(autouse=True)
def dead(server):
    yield DeadLetters(server.client, "hanner")
    server.client.delete(QueueKeys("hanner").dead, QueueKeys("hanner").dead_index)


def form(**fields):
    return urllib.parse.urlencode(fields, doseq=True).encode()


def test_failed_request_is_shown_without_its_text_retried_and_deleted(server, monitor, dead):
    with worker(server.url), Client(server.url, timeout=60) as ner:
        job = ner.submit("!die")
        with pytest.raises(WorkerLost):
            job.result()
        status, page = monitor.get(PATH)
        assert status == 200
        assert job.id in page
        assert "worker_lost" in page
        assert "(&lt;4 characters&gt;)" in page
        assert "!die" not in page

        status, page = monitor.get(PATH, data=form(action="retry", id=job.id))
        assert status == 200
        assert "1 request put back into the queue." in " ".join(page.split())
        with pytest.raises(WorkerLost):
            ner.job(job.id).result()
        assert server.client.llen("deaths") == 6

        page = monitor.get(PATH, data=form(action="delete", id=job.id))[1]
        assert "1 request deleted." in " ".join(page.split())
        assert "There are no dead letters." in page
        assert dead.count() == 0


def test_every_page_of_flower_has_the_tab(monitor):
    for path in ("/workers", "/tasks", "/broker", PATH):
        assert monitor.get(path)[1].count(f'href="{PATH}"') == 1
    assert 'aria-current="page">Dead letters' in monitor.get(PATH)[1]


def test_pages_show_the_newest_first_and_all_can_be_deleted(server, monitor, dead):
    for number in range(250):
        add_dead_letter(server.client, f"id-{number:03}", at=1000.0 + number)
    first, last = monitor.get(PATH)[1], monitor.get(f"{PATH}?page=9")[1]
    assert first.count('name="id"') == 100
    assert first.index("id-249") < first.index("id-150")
    assert "page 3 of 3" in last
    assert last.count('name="id"') == 50
    page = monitor.get(PATH, data=form(action="delete", scope="all", id="id-249"))[1]
    assert "250 requests deleted." in " ".join(page.split())
    assert dead.count() == 0


def test_unreadable_letter_can_be_seen_and_deleted(server, monitor, dead):
    keys = QueueKeys("hanner")
    server.client.hset(keys.dead, "broken", "no JSON")
    server.client.zadd(keys.dead_index, {"broken": 1.0})
    assert "the dead letter broken cannot be read" in monitor.get(PATH)[1]
    assert monitor.get(PATH, data=form(action="delete", id="broken"))[0] == 200
    assert dead.count() == 0


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (401, {"password": ""}),
        (403, {"headers": {"Sec-Fetch-Site": "cross-site"}}),
        (403, {"headers": {"Origin": "https://evil.example"}}),
        (400, {"data": form(action="destroy", id="a")}),
    ],
    ids=["no password", "cross-site", "other origin", "unknown action"],
)
def test_refused_forms_change_nothing(server, monitor, dead, status, options):
    add_dead_letter(server.client, "a")
    assert monitor.get(PATH, **{"data": form(action="delete", id="a"), **options})[0] == status
    assert dead.count() == 1


def test_read_only_flower_shows_and_changes_nothing_and_texts_need_a_setting(server, dead, tmp_path):
    with worker(server.url, env={"HANNER_LOG_TEXT": "1"}), Client(server.url, timeout=60) as ner:
        job = ner.submit("!die:马云<b>")
        with pytest.raises(WorkerLost):
            job.result()
    options = ("--", "--read_only=true", "--url_prefix=monitor")
    with flower(server.url, tmp_path, *options, env={"HANNER_LOG_TEXT": "1"}) as monitor:
        assert monitor.url.endswith("/monitor")
        page = monitor.get(PATH)[1]
        assert "!die:马云&lt;b&gt;" in page
        assert "Delete selected" not in page
        assert monitor.get(PATH, data=form(action="delete", id=job.id))[0] == 403
    assert dead.count() == 1
