"""Report words and phrases that this project does not use; `make check` runs it. The list is wording.toml.

    python tools/wording.py [FILE ...]

Without arguments it checks all files of the repository that match `paths` in the list. It prints one line per finding,
with the alternative and the reason, and exits with 1 if there is one. Starts git to list the files.
"""

import re
import subprocess
import sys
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path(__file__).with_suffix(".toml")
LINE_START = re.compile(r"[ \t]*(?:#+|--+|//+|/?\*+/?|>+|[-*]|\d+\.)?[ \t]*")
"""The indentation of a line with the marker of a comment, a quotation or a list."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One banned expression.

    Attributes:
        find: Matches it in text as `join_lines` returns it.
        use: What to write instead.
        why: The reason.
        example: A phrase with the expression.
        allow: Patterns of the files in which the expression is allowed.
    """

    find: re.Pattern[str]
    use: str
    why: str
    example: str
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One banned expression in a file; `line` counts from 1."""

    path: str
    line: int
    text: str
    rule: Rule

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: "{self.text}": write {self.rule.use} ({self.rule.why})'


def read_rules(config: dict[str, Any]) -> list[Rule]:
    """Return the rules of a parsed configuration.

    Raises:
        KeyError: a rule lacks a field.
        re.PatternError: an expression is invalid.
    """
    return [
        Rule(
            re.compile(rule["find"], re.IGNORECASE),
            rule["use"],
            rule["why"],
            rule["example"],
            tuple(rule.get("allow", ())),
        )
        for rule in config["rule"]
    ]


def join_lines(text: str) -> tuple[str, list[int]]:
    """Return the text with one line per paragraph, and the position of each original line in it.

    Comment markers, indentation and the quotes between the parts of a string literal are removed, so that phrases are
    found across line ends. Underscores become spaces, so that names are read as words.
    """
    joined, starts, length = [""], [], 0
    for line in text.replace("_", " ").splitlines():
        content = line[LINE_START.match(line).end() :].rstrip()  # type: ignore[union-attr]
        last = joined[-1]
        if not content:
            separator = "\n"
        elif last.endswith('"') and not last.endswith('""') and re.match(r'[fr]?"(?!")', content):
            joined[-1], length = last[:-1], length - 1
            content = content[content.index('"') + 1 :]
            separator = ""
        else:
            separator = " "
        starts.append(length + len(separator))
        joined.append(separator + content)
        length += len(joined[-1])
    return "".join(joined), starts


def check_text(path: str, text: str, rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield the findings in the text of one file."""
    joined, starts = join_lines(text)
    for rule in rules:
        if not any(fnmatch(path, pattern) for pattern in rule.allow):
            for match in rule.find.finditer(joined):
                yield Finding(path, bisect_right(starts, match.start()), match.group(0).strip(), rule)


def list_files(paths: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Return the files of the repository that match one of `paths` and none of `exclude`, relative to ROOT."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [
        name
        for name in listed
        if any(fnmatch(name, pattern) for pattern in paths)
        and not any(fnmatch(name, pattern) for pattern in exclude)
        and (ROOT / name).is_file()
    ]


def main(arguments: Sequence[str]) -> int:
    """Check the given files, or all; return the exit code."""
    config = tomllib.loads(CONFIG.read_text("utf-8"))
    rules = read_rules(config)
    paths = [ROOT / name for name in list_files(config["paths"], config["exclude"])]
    if arguments:
        given = {Path(argument).resolve() for argument in arguments}
        paths = [path for path in paths if path in given]
    findings = [
        finding
        for path in paths
        for finding in check_text(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"), rules)
    ]
    for finding in sorted(findings, key=lambda finding: (finding.path, finding.line)):
        print(finding)
    print(f"{len(findings)} findings in {len(paths)} files", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
