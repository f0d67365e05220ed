"""docs/benchmarks.md and the figures in other documents are rendered from the results."""

import re

import pytest

from benchmarks.end_to_end import output_files, readme_figures
from benchmarks.end_to_end.checks import checks
from benchmarks.end_to_end.report import render
from support import bench_results as small


def lines(page, beginning):
    return [line for line in page.splitlines() if line.startswith(f"| {beginning}")]


def test_shares_are_medians_over_rounds():
    page = render({"throughput": small.section([small.throughput_row()])})
    row = lines(page, "`some-model` |")[0]
    # 800/1000, 450/500, 720/1000: the median share is not the share of the median rates
    assert row == "| `some-model` | 2 | 1,000 | 720 | 80% | 940 | 95% | 47,000 |"


def test_page_shows_passed_and_failed_checks():
    failing = small.section([small.throughput_row("base")])
    page = render({"throughput": failing, "latency": small.section([small.latency_row()])})
    assert lines(page, "BERT-base size, one text per task, 2 processes")[0].endswith("| at least 95% | 80% | **no** |")
    assert lines(page, "`some-model`, one text at a time")[0].endswith("| at most 5 ms | 2.9 ms | yes |")
    assert lines(page, "`some-model`, p99 at 80 %")[0].endswith("| at most 3 | 2.2 | yes |")


def test_unanswered_requests_fail_p99_checks():
    section = small.section([small.latency_row(loads=[(80, None)])])
    (row,) = lines(render({"latency": section}), "80 %")
    assert row == "| 80 % | 640 | 8.0 | 20.0 | – | 6.0 | 4.0 | 3 |"
    assert [check.passed for check in checks({"latency": section})] == [True, False]
    assert [check.passed for check in checks({"bulk": small.section([small.bulk_row(p99=None)])})] == [False]


@pytest.mark.parametrize(
    ("name", "data", "passed"),
    [
        ("latency", [small.latency_row(loads=[(80, 120.0)])], [True, True]),
        ("latency", [small.latency_row("base", loads=[(80, 120.1)])], [False]),
        ("bulk", [small.bulk_row("default", 100), small.bulk_row("small", 101)], [True, False]),
        ("bulk", [small.bulk_row("base", 400)], [True]),
        ("cold", [small.cold_row("default", 1.01), small.cold_row("small", 1.0)], [False, True]),
        ("cold", [small.cold_row("base", 1.5)], [True]),
        ("memory", small.memory_data(300_000_000), [True]),
        ("memory", small.memory_data(301_000_000), [False]),
    ],
)
def test_limits(name, data, passed):
    assert [check.passed for check in checks({name: small.section(data)})] == passed


def compare_with_mosec(size, rates, hanner_p99, mosec_p99):
    systems = {"hanner": small.system(1, p99=hanner_p99), "mosec": small.system(1, p99=mosec_p99)}
    rounds = [{"engine alone": 100.0, "hanner": hanner, "mosec": mosec} for hanner, mosec in rates]
    row = small.compare_row(size) | {"systems": systems, "rounds": rounds}
    return [check.passed for check in checks({"compare": small.section([row])})]


def test_small_model_must_reach_throughput_of_mosec():
    assert compare_with_mosec("small", [(100, 100), (90, 80)], 9.0, 9.0) == [True, True]
    assert compare_with_mosec("small", [(99, 100), (98, 100)], 9.0, 9.0) == [False, True]


def test_p99_must_not_be_above_that_of_mosec():
    assert compare_with_mosec("base", [(50, 100)], 9.1, 9.0) == [False]
    assert compare_with_mosec("base", [(50, 100)], 9.0, None) == []


def test_model_that_does_nothing_is_compared_with_same_events():
    rows = [
        small.queue_row("plain Celery task", 400.0),
        small.queue_row("celery-batches", 1000.0, events=True),
        small.queue_row("celery-batches", 800.0, events=True, listener=False),
        small.queue_row("hanner, one text per task", 8000.0),
        small.queue_row("hanner, one text per task", 9000.0, events=True),
        small.queue_row("hanner, one text per task", 8000.0, events=True, listener=False),
    ]
    measured = [(check.measured, check.passed) for check in checks({"queue": {"rows": rows, "ratios": []}})]
    assert measured == [("20.00 x", True), ("9.00 x", False), ("10.00 x", True)]


def test_peers_are_compared_in_common_rounds():
    page = render({"compare": small.section([small.compare_row()])})
    assert lines(page, "mosec") == ["| mosec | 50.0 | 1.8 x | 2.5 | 5.0 | 5.0 | 9.0 | 600 | 1.5 |"]
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
    data = [small.latency_row()]
    assert warning in render({"latency": small.section(data, **facts)})
    assert warning not in render({"latency": small.section(data)})


def test_different_machines_are_both_described():
    other = small.MACHINE | {"processor": "Another CPU"}
    sections = {"latency": small.section([small.latency_row()]), "compare": small.section([small.compare_row()])}
    assert render(sections).count("Some CPU") == 1
    sections["compare"]["machine"] = other
    assert "Another CPU" in render(sections)


def test_page_shows_only_existing_plots():
    page = render(small.results(), ["latency"])
    assert re.findall(r"\(benchmarks/(\w+)\.svg\)", page) == ["latency"]


def test_page_shows_queue_benchmark():
    page = render({"queue": {"rows": [small.queue_row("hanner", 3000.0)], "ratios": ["hanner: 5 times more"]}})
    assert lines(page, "hanner, no events") == [
        "| hanner, no events | 1,000 | 3,000 | 30.0 | 100 | 50.0 | 20.0 | 2.0 |  |"
    ]
    assert "- hanner: 5 times more" in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_readme_figures_are_inserted_between_marks(language):
    found = readme_figures.render(small.results(), language)
    assert [len(row.split("|")) - 2 for row in found.splitlines() if row.startswith("|")] == [4] * 12
    assert "| `some-model` | `small-model` | BERT-base " in found
    for figure in ("720 (80%)", "940 (95%)", "110 MB", "1.4 s", "5.0 ms; 2.9 ms", "30 ms / 90 ms", "mosec", "| 1.8 |"):
        assert figure in found
    assert not {".", "。"} & set(found.splitlines())
    text = "before\n<!-- figures: make bench -->\nold\n<!-- /figures -->\nafter\n"
    assert (
        output_files.insert_figures(text, found)
        == f"before\n<!-- figures: make bench -->\n{found}\n<!-- /figures -->\nafter\n"
    )


def test_readme_has_dash_for_model_that_a_section_lacks():
    results = small.results() | {"cold": small.section([small.cold_row("small", 0.9)])}
    assert "| from start to first answer | – | 0.9 s | – |" in readme_figures.render(results, "en")


def test_readme_has_no_line_for_sections_without_results():
    found = readme_figures.render({"throughput": small.section([small.throughput_row()])}, "en")
    assert len([row for row in found.splitlines() if row.startswith("|")]) == 6


def test_comparison_table_has_line_per_server():
    (row,) = lines(readme_figures.comparison_table(small.results()), "ModelScope")
    assert row == "| ModelScope + Flask | 1.2; –; 2,000 MB | 1.2; –; 2,000 MB | 1.2; –; 2,000 MB |"
    assert readme_figures.comparison_table({}) == ""


@pytest.mark.parametrize(("scale", "is_marked"), [(0.35, True), (1.0, False)])
def test_readme_figures_name_the_scale_of_a_short_run(scale, is_marked):
    section = small.section([small.throughput_row()], scale=scale)
    assert ("0.35 of the usual duration" in readme_figures.render({"throughput": section}, "en")) is is_marked


def test_page_without_results_is_empty():
    assert render({}).startswith("# Benchmarks")
    assert readme_figures.render({}, "en") == ""


@pytest.mark.parametrize(("name", "figures"), output_files.FIGURES.items())
def test_documents_have_figures_of_committed_results(name, figures):
    text = (output_files.ROOT / name).read_text("utf-8")
    assert output_files.MARKED.search(text)
    if results := output_files.OutputFiles(output_files.DOCS).read():
        assert output_files.insert_figures(text, figures(results)) == text
