"""The model of the autoscaler in tests/benchmarks, with the settings of compose/k8s: bursts, steady load and idle."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from autoscaling import IN_FLIGHT, LOADS, PLOT, Autoscaler, Load, Policy, burst, desired, plot, simulate

POLICY = Policy.read()
ALL_IDLE = dict.fromkeys(POLICY.targets, 0.0)


@pytest.mark.parametrize(
    ("value", "workers", "expected"),
    [(80, 1, 8), (81, 1, 9), (85, 8, 8), (75, 8, 8), (89, 8, 9), (71, 8, 8), (60, 8, 6), (0, 8, 0), (5, 0, 1)],
)
def test_a_metric_asks_for_its_total_over_the_target_outside_the_tolerance(value, workers, expected):
    assert desired({"work": 10.0}, {"work": value}, workers) == expected


def test_the_largest_metric_counts():
    assert desired({"a": 10.0, "b": 1.0}, {"a": 20.0, "b": 7.0}, 1) == 7


def test_scale_up_is_limited_to_the_larger_policy_per_period():
    scaler = Autoscaler(replace(IN_FLIGHT, targets={"unacked": 1.0}), 1)
    assert [scaler.step(now, {"unacked": 100.0}) for now in (0, 15, 30, 45)] == [5, 10, 20, 32]


def test_scale_down_waits_for_the_window_and_removes_one_worker_per_minute():
    scaler = Autoscaler(POLICY, 4)
    scaler.step(0, ALL_IDLE | {"busy_workers": 2.8})
    workers = [scaler.step(now, ALL_IDLE) for now in range(1, 700)]
    assert workers[297] == 4
    changes = [now + 1 for now in range(1, 699) if workers[now] < workers[now - 1]]
    assert changes == [300, 360, 420]
    assert workers[-1] == POLICY.low


def test_zero_workers_are_started_by_any_work_and_removed_after_the_cooldown():
    scaler = Autoscaler(replace(POLICY, low=0), 0)
    assert scaler.step(0, ALL_IDLE) == 0
    assert scaler.step(5, ALL_IDLE | {"work_seconds": 0.03}) == 1
    workers = [scaler.step(now, ALL_IDLE) for now in range(6, 400)]
    assert workers.index(0) + 6 == 5 + POLICY.cooldown


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [60, 61, 67, 74])
def test_a_burst_of_short_texts_starts_no_worker(at, seed):
    load = Load("burst", burst(300, at), seconds=400)
    assert max(simulate(load, POLICY, seed=seed).workers) == 1


def test_the_number_of_requests_in_flight_started_all_workers_for_that_burst():
    assert desired(IN_FLIGHT.targets, {"unacked": 256}, 1) == IN_FLIGHT.high  # one worker's prefetch
    assert max(simulate(LOADS["burst"], IN_FLIGHT).workers) == 5  # the first step


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [50, 400, 1000, 3000])
def test_steady_load_settles_near_the_number_of_workers_that_it_needs(rate, seed):
    load = Load("steady", lambda _: float(rate), seconds=2400)
    workers = simulate(load, POLICY, seed=seed).workers[1200:]
    needed = rate * load.text_seconds
    assert needed < max(workers) <= needed / 0.7 * 1.25 + 1
    assert max(workers) - min(workers) <= 1


def test_a_peak_is_served_and_idle_returns_to_the_minimum():
    trace = simulate(replace(LOADS["peak"], seconds=3000), POLICY)
    assert 10 < max(trace.workers) <= 32
    assert trace.work[419] < 30  # seconds of one worker, of ten and more
    assert trace.workers[-1] == POLICY.low


def test_bulk_work_takes_minutes_but_not_all_workers_for_ever():
    trace = simulate(LOADS["bulk"], POLICY)
    assert max(trace.workers) > 24
    assert trace.work[60 + 300] == 0
    assert trace.workers[-1] < 20


def test_the_plot_in_the_documentation_is_current():
    traces = {name: (simulate(load, POLICY), simulate(load, IN_FLIGHT)) for name, load in LOADS.items()}
    assert PLOT.read_text("utf-8") == plot(traces)
