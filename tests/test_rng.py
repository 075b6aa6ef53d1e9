"""Addressed randomness: fixed vectors, no shared streams, no disturbance."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

import augreg
from augreg import rng
from augreg.rng import address_of, stream_key


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> list[int]:
    """One block of Philox4x64-10 in plain Python integers (Salmon et al. 2011)."""
    mask = (1 << 64) - 1
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (b >> 64) ^ c1 ^ k0, b & mask, (a >> 64) ^ c3 ^ k1, a & mask
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return [c0, c1, c2, c3]


def words(address: rng.Address, step: int, count: int) -> list[int]:
    cursor = address.cursor(step)
    return [cursor.bits() for _ in range(count)]


@pytest.mark.parametrize("view", [0, 3])
def test_the_stream_is_philox_of_the_address(view: int) -> None:
    address = address_of(seed=12, index=34, epoch=56, view=view)
    expected = []
    for block in range(1, 6):  # NumPy counts up before it encrypts
        expected += philox((block + (view << 32), 78, 34, 56), (12, rng.AUGMENTATION))
    assert words(address, 78, 20) == expected


def test_fixed_vectors() -> None:
    """These numbers are for ever: a change of any of them changes everybody's images."""
    address = address_of(seed=7, index=3, epoch=2)
    assert words(address, stream_key("rotate#0"), 3) == [
        5135279219371862685,
        18193668417638284052,
        14316380758772689407,
    ]
    assert stream_key("one_of#0/rotate#1") == 16927066278283302487
    assert address_of(0, "cat/0001.jpg").index == 1409616295692979272
    cursor = address_of(1, 2, 3).cursor(stream_key("x"))
    assert (cursor.random(), cursor.uniform(-1, 3)) == (0.33012644487718623, 1.973158586849328)
    assert (cursor.integers(10), cursor.sign()) == (8, 1)
    assert cursor.normal() == pytest.approx(-0.37476445472226505, rel=1e-14)  # log and cos are the platform's
    assert cursor.permutation(5) == [2, 0, 1, 3, 4]
    normals = [-1.7079218626022339, -0.1887858659029007, -1.519923210144043, 0.034295208752155304]
    assert rng.field("normal", 5, (2, 2)).ravel().tolist() == pytest.approx(normals, rel=1e-6)
    assert rng.field("uniform", 5, (2,)).tolist() == [0.926728367805481, 0.01823967695236206]


NESTED = [
    {"one_of": [{"rotate": 30}, {"sequential": [{"brightness": 0.5}, {"random_order": ["invert", {"hue": 0.2}]}]}]},
    {"some_of": {"steps": [{"shear_x": 0.3}, {"shear_y": 0.3}, {"rotate": 5}], "count": [1, 3]}},
    {"rotate": 10},
    {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
]


def test_fixed_vectors_of_nested_containers() -> None:
    pipe = augreg.Pipeline.from_spec({"seed": 11, "image": NESTED})
    drawn = [[str(op) for op in pipe.train.plan((40, 50), index=index, epoch=1).ops] for index in range(4)]
    assert [", ".join(ops) for ops in drawn] == [
        "rotate -1.7°, shear x 0.13, shear y 0.17, rotate -1.3°, rotate -0.7°, hue -0.100, saturation 1.35, "
        "contrast 1.39, brightness 0.82",
        "rotate 21.8°, shear x 0.15, rotate -3.5°, hue -0.019, brightness 1.27, saturation 0.71, contrast 0.79",
        "rotate -7.6°, shear x 0.12, shear y 0.15, rotate 2.4°, rotate -4.9°, brightness 0.97, hue -0.021, "
        "saturation 0.87, contrast 1.26",
        "rotate -14.1°, shear x 0.28, shear y 0.17, rotate 2.8°, rotate -7.9°, hue +0.088, saturation 0.84, "
        "brightness 1.09, contrast 1.31",
    ]


def test_inserting_a_step_of_another_name_shifts_nothing() -> None:
    before = augreg.Pipeline.from_spec(NESTED).train.plan((40, 50), index=5)
    after = augreg.Pipeline.from_spec(["equalize", *NESTED[:2], {"solarize": 100}, *NESTED[2:]]).train.plan(
        (40, 50), index=5
    )
    kept = [entry for entry in after.entries if entry.name not in ("equalize", "solarize")]
    assert [(e.path, e.applied, e.ops) for e in kept] == [(e.path, e.applied, e.ops) for e in before.entries]


def test_a_uid_pins_a_stream() -> None:
    plain = augreg.Pipeline.from_spec([{"rotate": {"degrees": 30, "uid": "turn"}}])
    moved = augreg.Pipeline.from_spec([{"rotate": 5}, {"rotate": {"degrees": 30, "uid": "turn"}}])
    assert plain.train.plan((9, 9), index=1).entries[0].ops == moved.train.plan((9, 9), index=1).entries[1].ops


def test_no_two_addresses_share_a_stream() -> None:
    """Neighbors in every part of the address, and the pairs that adding or concatenating would confuse."""
    seen = set()
    for seed in range(3):
        for domain in (rng.AUGMENTATION, rng.BATCH, rng.MODEL, rng.VIEWS):
            for epoch in range(3):
                for index in range(3):
                    for view in range(3):
                        for step in range(3):
                            seen.add(tuple(words(address_of(seed, index, epoch, view, domain), step, 2)))
    assert len(seen) == 3 * 4 * 3 * 3 * 3 * 3


def test_the_first_word_decides_whatever_p_is() -> None:
    for p in (0.0, 0.3, 1.0):
        cursor = address_of(1, 1).cursor(5)
        cursor.bernoulli(p)
        assert [cursor.bits() for _ in range(20)] == words(address_of(1, 1), 5, 21)[1:]
    skipping = address_of(1, 1).cursor(5)
    for _ in range(19):
        skipping.bernoulli(1.0)
    assert skipping.bits() == words(address_of(1, 1), 5, 20)[19]


def test_bernoulli_is_never_true_for_0_and_always_for_1() -> None:
    cursors = [address_of(3, index).cursor(0) for index in range(200)]
    assert not any(cursor.bernoulli(0.0) for cursor in cursors)
    assert all(cursor.bernoulli(1.0) for cursor in cursors)


def test_a_choice_never_has_weight_zero() -> None:
    """Not even for the smallest and the largest word that there are."""
    for word in (0, 2**64 - 1):
        cursor = address_of(0, 0).cursor(0)
        cursor._words = [word]
        assert cursor.choice([0.0, 0.3, 0.0]) == 1


def test_statistics() -> None:
    """Mean, variance and neighbors' correlation of one draw over 20,000 indices, within 5 sigma."""
    count = 20_000
    draws = np.array([address_of(4, index).cursor(9).random() for index in range(count)])
    assert abs(draws.mean() - 1 / 2) < 5 * (1 / 12 / count) ** 0.5
    assert abs(draws.var() - 1 / 12) < 5 * (1 / 180 / count) ** 0.5
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 5 / count**0.5
    normals = np.array([address_of(4, index).cursor(9).normal() for index in range(count)])
    assert abs(normals.mean()) < 5 / count**0.5 and abs(normals.std() - 1) < 5 / (2 * count) ** 0.5
    field = rng.field("normal", 1, (count,))
    assert abs(field.mean()) < 5 / count**0.5 and abs(field.std() - 1) < 5 / (2 * count) ** 0.5


def test_a_cursor_used_after_its_end_says_so() -> None:
    cursor = address_of(0, 0).cursor(0)
    cursor.random()
    cursor.close()
    with pytest.raises(RuntimeError, match="draw inside sample"):
        cursor.random()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"seed": -1, "index": 0}, ValueError),
        ({"seed": 0, "index": 2**64}, ValueError),
        ({"seed": 0, "index": 1.5}, TypeError),
        ({"seed": 0, "index": True}, TypeError),
        ({"seed": 0, "index": 0, "view": 2**32}, ValueError),
    ],
)
def test_an_address_is_made_of_64_bit_words(arguments: dict[str, int], error: type[Exception]) -> None:
    with pytest.raises(error, match="must be"):
        address_of(**arguments)


def test_numpy_integers_are_integers() -> None:
    assert address_of(np.int64(3), np.uint8(5)) == address_of(3, 5)


def test_threads_do_not_disturb_one_another() -> None:
    pipe = augreg.Pipeline.from_spec(NESTED)
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    alone = [pipe.train(image, index=index).tobytes() for index in range(40)]
    found: list[list[bytes]] = [[] for _ in range(4)]

    def work(results: list[bytes]) -> None:
        results.extend(pipe.train(image, index=index).tobytes() for index in range(40))

    threads = [threading.Thread(target=work, args=(results,)) for results in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results == alone for results in found)


def test_no_global_generator_is_read_or_moved() -> None:
    torch = pytest.importorskip("torch")
    pipe = augreg.Pipeline.from_spec([*NESTED, {"random_erasing": {"mode": "pixel", "p": 1}}])
    image = np.zeros((30, 40, 3), np.uint8)
    first = pipe.train(image, index=1).tobytes()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    pipe.train(image, index=1)
    pipe.train(image)
    assert random.getstate() == states[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), states[1], strict=True))  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    assert pipe.train(image, index=1).tobytes() == first
