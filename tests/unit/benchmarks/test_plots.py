"""Plots of the results, which are reproducible."""

import pytest

from benchmarks.end_to_end.plots import draw
from support import bench_results as small

pytest.importorskip("matplotlib", reason="pip install 'hanner[bench]'")


def test_each_section_has_its_plot(tmp_path):
    assert draw(small.results(), tmp_path) == ["throughput", "latency", "compare"]
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"throughput.svg", "latency.svg", "compare.svg"}
    draw(small.results(), tmp_path)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_missing_times_leave_a_gap(tmp_path):
    data = [small.latency_row(loads=[(80, None), (90, 9.0)])]
    assert draw({"latency": small.section(data)}, tmp_path) == ["latency"]
    (tmp_path / "queue.svg").touch()
    assert draw({}, tmp_path) == ["queue"]
