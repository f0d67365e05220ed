"""The batch scheduler: first in, first out, within limits and a budget in time; no request is lost."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_worker.batching.scheduler import BatchLimits, BatchScheduler, CostModel, QueuedRequest, estimate_size

LIMITS = BatchLimits(tokens=2048, rows=32, seconds=0.05)


def text(key, tokens, arrived=0.0, *, isolated=False):
    return QueuedRequest(str(key), 1, tokens, arrived, isolated)


def scheduler_of(requests, limits=LIMITS, **cost):
    scheduler = BatchScheduler(limits, CostModel(**cost))
    for request in requests:
        scheduler.add(request)
    return scheduler


def drained(scheduler, idle=1, processes=1):
    batches = []
    while batch := scheduler.take(idle, processes):
        batches.append(batch)
    return batches


def tokens_of(batch):
    return sum(request.tokens for request in batch)


@st.composite
def requests(draw, max_size=60):
    """Requests in the order of their arrival."""
    values = draw(
        st.lists(
            st.tuples(
                st.integers(1, 6), st.integers(3, 512), st.integers(0, 20), st.sampled_from([False, False, False, True])
            ),
            max_size=max_size,
        )
    )
    values.sort(key=lambda value: value[2])
    return [
        QueuedRequest(str(n), rows, rows * length, arrived / 10, isolated)
        for n, (rows, length, arrived, isolated) in enumerate(values)
    ]


cost = st.floats(1e-6, 1e-2)


@given(requests(), st.integers(1, 4), st.integers(0, 4), cost)
def test_requests_leave_in_the_order_of_their_arrival_and_limits_hold(waiting, idle, busy, per_token):
    scheduler = scheduler_of(waiting, per_token=per_token)
    batches = drained(scheduler, idle, idle + busy)
    assert [request for batch in batches for request in batch] == waiting
    assert len(scheduler) == 0
    for batch in batches:
        if len(batch) > 1:
            assert tokens_of(batch) <= LIMITS.tokens
            assert sum(request.rows for request in batch) <= LIMITS.rows
            assert not any(request.isolated for request in batch)


@given(requests(), st.integers(1, 4), cost)
def test_a_batch_takes_at_most_the_target_or_a_share_of_the_queue(waiting, processes, per_token):
    scheduler = scheduler_of(waiting, per_token=per_token)
    model = scheduler.cost
    left = sum(request.tokens for request in waiting)
    while batch := scheduler.take(1, processes):
        if len(batch) > 1:
            seconds = model.per_batch + model.per_token * tokens_of(batch)
            assert seconds <= LIMITS.seconds * 1.001 or tokens_of(batch) <= -(-left // processes)
        left -= tokens_of(batch)


@given(requests(), requests(), st.integers(1, 4))
def test_a_retried_request_is_queued_where_it_was(waiting, later, processes):
    scheduler = scheduler_of(waiting)
    taken = scheduler.take(1, processes)
    for request in later:
        scheduler.add(request._replace(key=f"later {request.key}", arrived=request.arrived + 3))
    for request in reversed(taken):
        scheduler.add(request)
    order = [request for batch in drained(scheduler) for request in batch]
    assert [request.arrived for request in order] == sorted(request.arrived for request in order)
    assert {request.key for request in order[: len(waiting)]} == {request.key for request in waiting}


def test_a_single_text_is_sent_at_once_to_an_idle_process_only():
    scheduler = scheduler_of([text("a", 16)])
    assert scheduler.take(0) == []
    assert [request.key for request in scheduler.take(1)] == ["a"]
    assert scheduler.take(1) == []


def test_queued_requests_are_divided_among_idle_processes():
    scheduler = scheduler_of(text(n, 50) for n in range(10))
    assert len(scheduler.take(2, 2)) == 5
    assert len(scheduler.take(1, 2)) == 5


def test_a_slow_model_gets_small_batches_while_little_waits():
    scheduler = scheduler_of((text(n, 50) for n in range(8)), per_token=3e-4)
    assert len(scheduler.take(1, 4)) == 2  # of 30 ms; a third one would exceed 50 ms


def test_batches_grow_to_the_limits_with_the_queue():
    scheduler = scheduler_of((text(n, 50) for n in range(400)), per_token=3e-4)
    sizes = [len(batch) for batch in drained(scheduler, 1, 4)]
    assert sizes[0] == LIMITS.rows
    assert sizes[-1] <= 3
    assert sizes == sorted(sizes[:-1], reverse=True) + sizes[-1:]


def test_a_request_over_the_limits_is_a_batch_of_its_own():
    scheduler = scheduler_of([QueuedRequest("article", 40, 20_000, 0.0), text("line", 512, 0.1)])
    assert [[request.key for request in batch] for batch in drained(scheduler)] == [["article"], ["line"]]


def test_an_isolated_request_is_alone_in_its_place():
    waiting = [text("a", 16), text("b", 16, 0.1), text("suspect", 16, 0.2, isolated=True), text("c", 16, 0.3)]
    batches = drained(scheduler_of(waiting))
    assert [[request.key for request in batch] for batch in batches] == [["a", "b"], ["suspect"], ["c"]]


def test_a_key_is_queued_once():
    scheduler = scheduler_of([text("a", 16)])
    with pytest.raises(ValueError, match="is queued already"):
        scheduler.add(text("a", 17))
    scheduler.take(1)
    scheduler.add(text("a", 17))


def test_the_costs_of_a_batch_and_of_a_token_are_learned():
    model, rng = CostModel(per_token=1e-4), random.Random(7)
    for _ in range(200):
        tokens = round(10 * 200 ** rng.random())
        model.learn(tokens, (0.004 + 3e-5 * tokens) * rng.uniform(0.9, 1.1))
    assert model.per_batch == pytest.approx(0.004, rel=0.2)
    assert model.per_token == pytest.approx(3e-5, rel=0.1)
    assert model.tokens(0.05) == pytest.approx((0.05 - 0.004) / 3e-5, rel=0.1)
    assert model.tokens(0.001) == 0


@pytest.mark.parametrize("tokens", [17, 2000])
def test_batches_of_one_size_are_predicted(tokens):
    model = CostModel(per_token=1e-4)
    for _ in range(100):
        model.learn(tokens, 0.02)
    assert model.per_batch + model.per_token * tokens == pytest.approx(0.02, rel=0.05)


def test_a_few_batches_replace_a_wrong_start():
    model = CostModel(per_token=3e-4)
    for tokens in (10, 100, 300, 500, 1000):
        model.learn(tokens, 0.002 + 3e-5 * tokens)
    assert model.tokens(0.05) > 500


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 100)), max_size=50), st.floats(0, 1))
def test_any_measurements_give_usable_costs(batches, seconds):
    model = CostModel()
    for tokens, took in batches:
        model.learn(tokens, took)
    assert model.per_token > 0
    assert model.per_batch >= 0
    assert 0 <= model.tokens(seconds) <= model.tokens(seconds + 0.1)


@pytest.mark.parametrize(
    ("texts", "size"),
    [
        (["马云在杭州"], (1, 1, 7)),
        ([""], (1, 1, 2)),
        ([], (0, 1, 2)),
        ([17, None], (2, 2, 4)),
        (["字" * 1000], (1, 2, 1004)),
        (["字" * 510, "字"], (2, 2, 515)),
    ],
)
def test_estimate_size(texts, size):
    estimated = estimate_size(texts, 512)
    assert (estimated.texts, estimated.rows, estimated.tokens) == size
