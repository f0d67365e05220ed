"""The linter of words: it finds every rule's example, across line ends and in names, and nothing in plain sentences."""

import subprocess
import sys
import tomllib

import pytest

import wording

CONFIG = tomllib.loads(wording.CONFIG.read_text("utf-8"))
RULES = wording.read_rules(CONFIG)

PLAIN = """
Return the number of requests, or None if it is None.
A worker whose lease has expired requeues its unacknowledged messages; clients that disconnect are revoked.
def test_interactive_request_preempts_queued_bulk(): the held-out sentences belong to the dead letters.
There is no model package at this path; fetch one. If there is no worker, the request waits in the queue.
The queue is full; retry later, or raise HANNER_MAX_QUEUE. Each file of the hub is missing, so it is downloaded again.
"""


def find(text, path="a.py"):
    return list(wording.check_text(path, text, RULES))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example)
def test_example_of_each_rule_is_found_and_explained(rule):
    findings = [finding for finding in find(f"# Fine.\n\n# {rule.example}.\n") if finding.rule is rule]
    assert len(findings) == 1
    assert findings[0].line == 3
    assert str(findings[0]).startswith('a.py:3: "')
    assert str(findings[0]).endswith(f": write {rule.use} ({rule.why})")
    assert rule.use
    assert rule.why


def test_plain_sentences_have_no_findings():
    assert [str(finding) for finding in find(PLAIN)] == []


@pytest.mark.parametrize(
    "text",
    [
        "# The request is set\n# aside.",
        '    """The request is set\n    aside."""',
        "-- The request is set\n--   aside.",
        " * The request is set\n * aside.",
        "> The request is set\n> aside.",
        'raise Error(\n    f"the request {id} is set "\n    f"aside"\n)',
        "## A request that is SET ASIDE\n",
        "def test_request_is_set_aside(): ...",
    ],
)
def test_phrases_are_found_across_line_ends_and_in_names(text):
    (finding,) = find(text)
    assert (finding.text.lower(), finding.rule.use) == ("set aside", "moved to the dead letters")
    assert 1 <= finding.line <= 3


def test_paragraphs_are_not_joined():
    assert find("The request is set\n\naside.") == []


def test_every_occurrence_is_found_at_its_line():
    assert [finding.line for finding in find("1\nof late\n\n3 of late of\nlate\n")] == [2, 4, 4]


def test_a_word_is_allowed_where_it_has_its_technical_meaning():
    assert find("patience: int", "worker/hanner_models/finetune/options.py") == []
    assert len(find("patience: int", "producer/hanner/client.py")) == 1


def test_files_without_a_repository_pattern_are_not_checked():
    files = wording.list_files(CONFIG["paths"], CONFIG["exclude"])
    assert {"README.md", "Makefile", "producer/hanner/client.py", "tests/unit/project/test_links.py"} <= set(files)
    assert not {"tools/wording.toml", "LICENSE", "requirements.lock"} & set(files)


def test_the_command_exits_with_1_if_there_are_findings(monkeypatch, tmp_path, capsys):
    (tmp_path / "page.md").write_text("Redis answers a client\nwho asks.\n", "utf-8")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.setattr(wording, "ROOT", tmp_path)
    assert wording.main([]) == 1
    out, err = capsys.readouterr()
    assert out.startswith('page.md:2: "who asks": write clients that')
    assert err == "1 findings in 1 files\n"
    (tmp_path / "page.md").write_text("Redis answers.\n", "utf-8")
    assert wording.main([str(tmp_path / "page.md")]) == 0


def test_the_script_runs_without_the_project_installed():
    result = subprocess.run(
        [sys.executable, "-I", wording.__file__, wording.__file__], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")
