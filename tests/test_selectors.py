"""Patterns of `at`: what they match, against fnmatch, and in a time that does not explode."""

from __future__ import annotations

import fnmatch
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from augreg.steps.selectors import Selector, selects


def matches(pattern: str, name: str) -> bool:
    return selects((Selector(pattern),), name, ())


@settings(max_examples=100)
@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_within_a_name_without_dots_stars_are_those_of_fnmatch(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@settings(max_examples=100)
@given(st.text("ab.*", max_size=8), st.text("ab.", max_size=8))
def test_two_stars_are_one_of_fnmatch(pattern: str, name: str) -> None:
    assert matches(re.sub(r"\*+", "**", pattern), name) == fnmatch.fnmatchcase(name, pattern)


@settings(max_examples=100)
@given(st.lists(st.text("ab*", max_size=4), max_size=4), st.lists(st.text("ab", max_size=4), max_size=4))
def test_one_star_stays_between_two_dots(patterns: list[str], names: list[str]) -> None:
    patterns = [re.sub(r"\*+", "*", pattern) for pattern in patterns] or [""]
    names = names or [""]
    expected = len(patterns) == len(names) and all(map(fnmatch.fnmatchcase, names, patterns))
    assert matches(".".join(patterns), ".".join(names)) == expected


@settings(max_examples=100)
@given(st.text("a.*", max_size=7), st.text("a.", max_size=7))
def test_both_stars_together_are_the_regular_expression(pattern: str, name: str) -> None:
    parts = re.split(r"(\*\*|\*)", pattern)
    expression = "".join({"**": ".*", "*": "[^.]*"}.get(part, re.escape(part)) for part in parts)
    assert matches(pattern, name) == (re.fullmatch(expression, name) is not None)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("**a*b", "a.ab", True),  # the first a is the wrong one
        ("layer*.**", "layer1.0.conv", True),
        ("layer*.**", "layer1", False),
        ("*", "", True),
        ("*", "a.b", False),
        ("[ab]?", "a", False),  # only stars are special
        ("[ab]?", "[ab]?", True),
        ("**", "line\nbreak.x", True),
    ],
)
def test_examples(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    "pattern",
    ["*" * 18 + "!", "**" * 500 + "!", "*a" * 200 + "!", "**a*a" * 100 + "!", ".*" * 300, "a" * 9999 + "*!"],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    names: list[Any] = ["a" * 300, "a." * 150, "features.0.block.conv" * 10]
    started = time.process_time()
    assert not any(matches(pattern, name) for name in names)
    assert time.process_time() - started < 1  # some 20 ms; by backtracking, longer than the universe is old
