"""Specs that were made to hang, to fill the memory or to raise: by number, always the same ones.

`python hostile_specs.py FIRST LAST` reads those of these numbers, each within limits of time, and prints how many ran
and how many were refused; the memory is limited by whoever starts it.
"""

from __future__ import annotations

import itertools
import json
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from augreg import Pipeline, SpecError

__all__ = ["KINDS", "hostile"]

SECONDS = 20.0
"""The most processor time that one of them may take; most take a tenth of a second."""
SUFFIXES = (".yaml", ".json", ".toml")
_GOOD = (
    '{"seed": 3, "image": [{"rotate": {"degrees": 10, "p": 0.5}}, {"one_of": ["invert", {"blur": 2}]}, "normalize"]}'
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
Text = tuple[str, str | bytes]
"""A suffix, and what is in the file."""


def hostile(number: int) -> Any:
    """The spec with this number: plain data, or the suffix and the text of a file."""
    return KINDS[number % len(KINDS)](random.Random(number))


def _placed(rng: random.Random, value: Any) -> Any:
    """A value at one of the places of a spec."""
    return rng.choice([
        value, [value], {"image": value}, {"image": [], "seed": value}, {"image": [], "targets": {"boxes": value}},
        [{"one_of": value}], [{"rotate": {"degrees": value}}], [{"rotate": value}], [{"rotate": {"test": value}}],
        [{"rotate": {"p": value}}], {"model": [{"dropout": {"at": value}}]}, {"batch": [{"mixup": value}]},
        {"loss": [{"l2": value}]}, [{"auto_augment": {"policy": value}}], [{"normalize": {"mean_image": value}}],
    ])  # fmt: skip


def _shared(rng: random.Random) -> Any:
    value: Any = rng.choice(["rotate", 1, "x", {"rotate": 3}, [], None])
    for _ in range(rng.randrange(2, 80)):
        times = rng.randrange(1, 6)
        value = rng.choice([[value] * times, {"one_of": [value] * times}, dict.fromkeys(_LETTERS[:times], value)])
    return _placed(rng, value)


def _itself(rng: random.Random) -> Any:
    items: list[Any] = []
    mapping: dict[str, Any] = {"one_of": items}
    items += rng.choice([[mapping], [mapping] * 3, [items], ["rotate", mapping, items]])
    return _placed(rng, rng.choice([items, mapping]))


def _many(rng: random.Random) -> Any:
    count = rng.choice([5_000, 50_000, 200_000])
    names = [rng.choice(["rotate", "rotatte", "invert", "x" * 300]) + rng.choice(["", str(n)]) for n in range(count)]
    return _placed(rng, rng.choice([names, dict.fromkeys(names, 1), [[name] for name in names], [0.5] * count]))


def _schedules(rng: random.Random) -> Any:
    count = rng.choice([900, 1000, 20_000])
    form = rng.choice(["linear", "cosine", "step"])
    schedule = {form: [rng.random() for _ in range(count)]}
    schedule["at" if form == "step" else "over"] = list(range(count - (form == "step")))
    return [{"rotate": {rng.choice(["degrees", "p"]): schedule}}] * rng.choice([1, 10])


def _deep(rng: random.Random) -> Text:
    levels = rng.choice([90, 300, 3_000, 100_000])
    suffix = rng.choice(SUFFIXES)
    opened = {
        ".yaml": "[",
        ".json": rng.choice(["[", '{"a":']),
        ".toml": rng.choice(["a.", "[", "x = {a = ", "'a' . "]),
    }
    return suffix, rng.choice(["", '{"image":', "image = "]) + opened[suffix] * levels + rng.choice(["", "a = 1"])


def _aliases(rng: random.Random) -> Text:
    lines = [f"a: &a [{rng.choice(['x', 'rotate', '1', '{rotate: 3}'])}]"]
    for before, name in itertools.pairwise(_LETTERS[: rng.randrange(4, 27)]):
        inner = ", ".join([f"*{before}"] * rng.randrange(1, 9))
        lines.append(f"{name}: &{name} {rng.choice([f'[{inner}]', f'{{one_of: [{inner}]}}'])}")
    return ".yaml", "\n".join([*lines, f"image: [*{name}]", rng.choice(["", "seed: &z [*z]", "<<: *b"])])


def _numbers(rng: random.Random) -> Text:
    digits = rng.choice(
        ["9" * 5_000, "1e" + "9" * 400, "-" + "8" * 4_301, "0x" + "f" * 9_000, "1_0" * 3_000, ".inf", "NaN"]
    )
    suffix = rng.choice(SUFFIXES)
    whole = {
        ".yaml": f"image: []\nseed: {digits}",
        ".json": f'{{"seed": {digits}}}',
        ".toml": f"image = []\nseed = {digits}",
    }
    return suffix, whole[suffix]


def _mangled(rng: random.Random) -> Text:
    """A good spec with some characters replaced, in a file of any suffix."""
    letters = list(_GOOD)
    for _ in range(rng.randrange(1, 6)):
        odd = rng.choice(
            [*string.punctuation, "\x00", "\x1b", "\ud800", "\ufeff", "\u2028", "\\U0011FFFF", "\n", "\t", "9" * 99]
        )
        letters[rng.randrange(len(letters))] = odd
    return rng.choice(SUFFIXES), "".join(letters).encode("utf-8", "surrogatepass")


def _bytes(rng: random.Random) -> Text:
    return rng.choice(SUFFIXES), rng.randbytes(rng.choice([1, 100, 10_000]))


def _long(rng: random.Random) -> Text:
    """Nearly a megabyte of one thing."""
    part = rng.choice(
        [
            '"',
            "'",
            "'''",
            "[",
            "{",
            "- ",
            "a: ",
            "&a ",
            "*a ",
            "? ",
            "# ",
            "a",
            "9",
            ".",
            "\\",
            '"\\',
            "\n",
            "\r",
            "a = 1\n",
            "[[a]]\n",
        ]
    )
    return rng.choice(SUFFIXES), (part * 1_000_000)[:1_000_000]


KINDS: tuple[Callable[[random.Random], Any], ...] = (
    _shared, _itself, _many, _schedules, _deep, _aliases, _numbers, _mangled, _bytes, _long,
)  # fmt: skip


def _outcome(spec: Any) -> str:
    try:
        pipe = Pipeline.from_spec(spec)
    except SpecError as error:
        message = str(error)
        assert message and len(message) < 1 << 20, len(message)
        assert all(line.isprintable() for line in message.split("\n")), message[:500]
        assert "MemoryError" not in message and "RecursionError" not in message, message[:500]
        return "refused"
    assert Pipeline.from_spec(json.loads(json.dumps(pipe.to_spec()))) == pipe
    return "ran"


def main(first: int, last: int) -> None:
    """Read the specs of these numbers; an assertion or any other error is a surprise."""
    counts = {"ran": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print(number, file=sys.stderr, flush=True)  # the last one is the one that was killed
            spec = hostile(number)
            if isinstance(spec, tuple):
                path = Path(folder, f"spec{spec[0]}")
                path.write_bytes(spec[1] if isinstance(spec[1], bytes) else spec[1].encode())
                spec = path
            start = time.process_time()
            counts[_outcome(spec)] += 1
            seconds = time.process_time() - start
            assert seconds < SECONDS, f"{number} took {seconds:.1f} s"
    print(json.dumps(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
