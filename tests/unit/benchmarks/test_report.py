"""docs/benchmarks.md and the READMEs' figures are rendered from the results."""

import re

import pytest

from benchmarks.end_to_end import output_files, readme_figures
from benchmarks.end_to_end.checks import checks
from benchmarks.end_to_end.report import render
from support import bench_results as small


def lines(page, beginning):
    return [line for line in page.splitlines() if line.startswith(f"| {beginning}")]


def test_shares_are_medians_over_rounds():
    (row,) = lines(render({"throughput": small.section([small.throughput_row()])}), "default size, `")
    # 800/1000, 450/500, 720/1000: the median share is not the share of the median rates
    assert row == "| default size, `default@00000000` | 2 | 1,000 | 720 | 80% | 940 | 95% | 47,000 |"


def test_page_shows_passed_and_failed_checks():
    failing = small.section([small.throughput_row("base")])
    page = render({"throughput": failing, "latency": small.section(small.latency_data())})
    assert lines(page, "base size, one text per task, 2 processes")[0].endswith("| at least 95% | 80% | **no** |")
    assert lines(page, "one text at a time")[0].endswith("| at most 5 ms | 2.9 ms | yes |")
    assert lines(page, "p99 at 80 %")[0].endswith("| at most 4 | 2.2 | yes |")


def test_unanswered_requests_fail_p99_check():
    data = small.latency_data() | {"loads": [small.load_row(80, None)]}
    (row,) = lines(render({"latency": small.section(data)}), "80 %")
    assert row == "| 80 % | 640 | 8.0 | 20.0 | – | 6.0 | 4.0 | 3 |"
    assert [check.passed for check in checks({"latency": small.section(data)})] == [True, False]


def test_peers_are_compared_in_common_rounds():
    page = render({"compare": small.section([small.compare_row()])})
    assert lines(page, "mosec") == ["| mosec | 50.0 | 1.8 x | 2.5 | 5.0 | 5.0 | 7.0 | 600 | 1.5 |"]
    assert lines(page, "ModelScope + Flask") == [
        "| ModelScope + Flask | 1.2 | 75.0 x | 2.5 | 5.0 | – | – | 2,000 | 1.5 |"
    ]
    assert "Not run: litserve: its environment is not there: make bench-peers." in page


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        ({"scale": 0.2}, "a short run"),
        ({"machine": small.MACHINE | {"busy_before": 0.32}}, "other programs used 32% of the CPU"),
    ],
)
def test_unreliable_figures_are_marked(facts, warning):
    data = small.latency_data()
    assert warning in render({"latency": small.section(data, **facts)})
    assert warning not in render({"latency": small.section(data)})


def test_different_machines_are_both_described():
    other = small.MACHINE | {"processor": "Another CPU"}
    sections = {"latency": small.section(small.latency_data()), "compare": small.section([small.compare_row()])}
    assert render(sections).count("Some CPU") == 1
    sections["compare"]["machine"] = other
    assert "Another CPU" in render(sections)


def test_page_shows_only_existing_plots():
    page = render(small.results(), ["latency"])
    assert re.findall(r"\(benchmarks/(\w+)\.svg\)", page) == ["latency"]


def test_page_shows_queue_benchmark():
    row = {
        "scenario": "hanner",
        "events": False,
        "enqueued": 1000.0,
        "consumed": 3000.0,
        "client": 30.0,
        "parent": 100.0,
    }
    found = {
        "rows": [row | {"child": 50.0, "redis": 20.0, "p50": 2.0, "p99": None}],
        "ratios": ["hanner: 5 times more"],
    }
    page = render({"queue": found})
    assert lines(page, "hanner, no events") == [
        "| hanner, no events | 1,000 | 3,000 | 30.0 | 100 | 50.0 | 20.0 | 2.0 |  |"
    ]
    assert "- hanner: 5 times more" in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_readme_figures_are_inserted_between_marks(language):
    found = readme_figures.render(small.results(), language)
    for figure in ("720 (80%)", "940 (95%)", "110 MB", "1.4 s", "2.9", "90", "mosec 50.0"):
        assert figure in found
    assert not {".", "。"} & set(found.splitlines())
    text = "before\n<!-- figures: make bench -->\nold\n<!-- /figures -->\nafter\n"
    assert (
        output_files.insert_figures(text, found)
        == f"before\n<!-- figures: make bench -->\n{found}\n<!-- /figures -->\nafter\n"
    )


@pytest.mark.parametrize(("scale", "is_marked"), [(0.35, True), (1.0, False)])
def test_readme_figures_name_the_scale_of_a_short_run(scale, is_marked):
    section = small.section([small.throughput_row()], scale=scale)
    assert ("0.35 of the usual duration" in readme_figures.render({"throughput": section}, "en")) is is_marked


def test_page_without_results_is_empty():
    assert render({}).startswith("# Benchmarks")
    assert readme_figures.render({}, "en") == ""


@pytest.mark.parametrize(("name", "language"), output_files.READMES.items())
def test_readmes_have_figures_of_committed_results(name, language):
    text = (output_files.ROOT / name).read_text("utf-8")
    assert output_files.MARKED.search(text)
    if results := output_files.OutputFiles(output_files.DOCS).read():
        assert output_files.insert_figures(text, readme_figures.render(results, language)) == text
