"""The real worker with its cache: a repeated text is not inferred again, in any process."""

from support.workers import Events, runs, worker

ON = {"HANNER_CACHE_TTL": "60"}


def count_entities(app, *texts):
    documents = app.send_task("hanner.extract_many", [list(texts)]).get(timeout=60)["documents"]
    return [len(document["entities"]) for document in documents]


def test_a_text_is_inferred_once_and_hits_are_reported(server, app):
    with Events(app) as events, worker(server.url, "-c", "2", "-l", "DEBUG", env=ON) as running:
        assert count_entities(app, "马云一", "马云一", "没有人") == [1, 1, 0]
        events.wait_for(lambda e: any(event["type"] == "hanner-batch" for event in e.seen))
        assert count_entities(app, "没有人", "马云一", "马云二") == [0, 1, 1]
        assert runs(server.client) == [[3, 3], [3]]
        running.wait_for("2 cached")
        events.wait_for(lambda e: sum(event["type"] == "hanner-batch" for event in e.seen) == 2)
        first, second = (event for event in events.seen if event["type"] == "hanner-batch")
        assert (first["texts"], first["repeated"], first["cached"]) == (3, 1, 0)
        assert (second["texts"], second["repeated"], second["cached"]) == (3, 0, 2)
        assert running.stop() == 0


def test_the_cache_outlives_the_worker_and_contains_no_text(server, app):
    for _ in range(2):
        with worker(server.url, "-c", "1", env=ON) as running:
            assert count_entities(app, "马云的秘密") == [1]
            assert running.stop() == 0
    assert runs(server.client) == [[5]]
    (key,) = server.client.keys("hanner:cache:*")
    assert server.client.get(key) == '[["PER",0,2,1.0]]'


def test_the_cache_is_off_by_default(server, app):
    with worker(server.url, "-c", "1"):
        assert count_entities(app, "马云一") == count_entities(app, "马云一") == [1]
    assert runs(server.client) == [[3], [3]]
    assert not server.client.keys("hanner:cache:*")


def test_a_damaged_cache_entry_does_not_fail_a_request(server, app):
    with worker(server.url, "-c", "1", "-l", "DEBUG", env=ON) as running:
        assert count_entities(app, "马云一") == [1]
        running.wait_for("batch 1: ")  # entries are written after results
        running.wait_for(" with padding), waited up to ")
        (key,) = server.client.keys("hanner:cache:*")
        server.client.set(key, "nonsense")
        assert count_entities(app, "马云一") == [1]
    assert runs(server.client) == [[3], [3]]
