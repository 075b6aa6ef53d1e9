"""Programs: whole lists of ops in one call, split where there is no compiled kernel; and records that nobody made."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from augreg_native import _native, program
from augreg_native.kernels import KERNELS

import augreg
from augreg import ImageError, ops
from augreg.backends import Backend, backend
from augreg.execution.run import run_ops

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NATIVE, PILLOW = backend("native", "augreg_native.kernels:KERNELS"), backend("pillow")


def test_a_list_of_ops_runs_in_one_call() -> None:
    """Padded, cut out and flipped, normalized, a box painted: by hand for some pixels."""
    chosen = [
        ops.Pad(4, 4, 4, 4, (7.0,)),
        ops.Move(3, 2, 20, 30, flip_x=True),
        ops.Normalize(MEAN, STD),
        ops.Paint(10, 5, 6, 8, (0.5, -1.0, 2.0)),
    ]
    count, found = program.run(chosen, 0, IMAGE)
    assert count == 4 and found.shape == (20, 30, 3) and found.dtype == np.float32
    assert found.transpose(2, 0, 1).flags.c_contiguous
    # the first row is one of the border, and so are two columns, on the right because of the flip
    border = ((7 / 255 - np.array(MEAN)) / STD).astype(np.float32)
    assert (found[0] == border).all() and (found[:, 28:] == border).all() and (found[1:, :28] != border).any()
    assert np.array_equal(found[1, 27], ((IMAGE[0, 0] / 255.0 - MEAN) / STD).astype(np.float32))
    assert (found[10:16, 5:13] == np.array([0.5, -1.0, 2.0], np.float32)).all()
    assert (found[10:16, 4] != found[10:16, 5]).any()


def test_a_list_is_split_where_there_is_no_kernel() -> None:
    """The op in the middle is a function: what is before and after it runs in one call each."""
    calls: list[tuple[int, int]] = []

    def counted(chosen: object, start: int, image: np.ndarray) -> tuple[int, np.ndarray]:
        found = program.run(chosen, start, image)  # type: ignore[arg-type]
        calls.append((start, found[0]))
        return found

    engine = Backend("native", NATIVE.kernels, run_many=counted)
    middle = ops.call(np.negative, {}, size=(20, 30), geometry=False)
    chosen = [
        ops.Pad(1, 1, 1, 1),
        ops.Move(1, 1, 20, 30, flip_y=True),
        middle,
        ops.Move(0, 0, 20, 30, True),
        ops.resize(9, 9),
    ]
    found = run_ops(chosen, IMAGE, engine)
    assert calls == [(0, 2), (3, 2)]
    assert np.array_equal(found, run_ops(chosen, IMAGE, PILLOW))


@pytest.mark.parametrize("mean_std", [(MEAN, STD), ((0.5,), (0.5,)), ((0.1, 0.2, 0.3), (1.0,)), ((0.0,), (1e-30,))])
def test_normalized_floats_are_those_of_the_table(mean_std: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    """All 256 values, in float64 and rounded once; also in an image of one column and with two and four channels."""
    mean, std = mean_std
    for channels in (1, 2, 3, 4):
        if {len(mean), len(std)} - {1, channels}:
            continue
        image = np.arange(256, dtype=np.uint8)[:, None, None].repeat(channels, 2)
        for given in (image, image.swapaxes(0, 1), image.reshape(16, 16, channels)):
            count, found = program.run([ops.Normalize(mean, std)], 0, given)
            expected = ((given / 255.0 - np.array(mean)) / np.array(std)).astype(np.float32)
            assert count == 1 and np.array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_numbers_that_no_product_gives_become_tables() -> None:
    """A record with a table gives the same floats: here with the values that make the product differ left out."""
    tables = np.random.default_rng(1).random((3, 256)).astype(np.float32)
    head = struct.Struct("=4i8d").pack(4, 80 + tables.nbytes, 1, 0, *[0.0] * 8)
    out = np.empty((3, 20, 30), np.float32).transpose(1, 2, 0)
    _native.run(head + tables.tobytes(), IMAGE, out, "")
    assert np.array_equal(out, np.stack([tables[c][IMAGE[..., c]] for c in range(3)], axis=2))


def test_an_op_that_does_not_fit_is_refused_with_its_name() -> None:
    """The error is that of Pillow's kernel."""
    with pytest.raises(ImageError, match=r"cannot crop 9x9 at \(15, 25\): the image is 20x30"):
        run_ops([ops.crop(15, 25, 9, 9)], IMAGE, NATIVE)
    with pytest.raises(ImageError, match="fill has 2 numbers and the image has 3 channels"):
        run_ops([ops.Pad(1, 1, 1, 1, (1.0, 2.0))], IMAGE, NATIVE)


@pytest.mark.parametrize(
    "op",
    [
        ops.Move(0, 0, 0, 5),
        ops.Move(-1, 0, 5, 5),
        ops.Pad(-3, 0, 0, 0),
        ops.Pad(2**40, 0, 0, 0),
        ops.Paint(0, 0, 0, 4),
        ops.Paint(2**40, 0, 1, 1),
        ops.Resize(0, 5),
        ops.Resize(2**24 + 1, 1),
        ops.Pad(2**30, 2**30, 2**30, 2**30),
    ],
)
def test_sizes_that_no_image_has_are_left_to_the_kernel(op: ops.Op) -> None:
    """It says what it says without this backend."""
    assert program.run([op], 0, IMAGE) == (0, IMAGE)


def test_rows_of_more_values_than_32_bits_count_are_left_to_the_kernel() -> None:
    """Kernels count the values of a row; the memory of these rows is never touched."""
    row = np.zeros((1, 2**29, 4), np.uint8)
    scene = ops.Scene(1, 2**29, 4)
    count, found = program.run([ops.translate(scene, 3.5, 0.0, "bilinear"), ops.crop(0, 2**29 - 8, 1, 8)], 0, row)
    assert count == 0 and found is row
    with pytest.raises(ValueError, match="expected rows of at most 2147483647 values, got 536870912 x 4"):
        _native.run(b"", row, row, "")
    pixel = row[:, :1]
    assert program.run([ops.Pad(0, 0, 0, 2**29 - 1), ops.crop(0, 0, 1, 1)], 0, pixel)[0] == 0
    widened = record(2, 0, 0, 0, 2**29 - 1, *[0] * 6) + record(0, 0, 0, 1, 1, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="the program does not fit the images"):
        _native.run(widened, pixel, np.empty_like(pixel), "")


def test_ops_in_place_after_a_crop_of_memory_in_between(isa: str) -> None:
    """The crop is a view of it, with gaps between its rows."""
    scene = ops.Scene(9, 11, 3)
    for last in (
        ops.noise(scene, "iso", (0.1, 0.1), 7),
        ops.enhance("gray", 0.5, "saturation"),
        ops.paint(scene, 2, 3, 4, 5),
        ops.point_function("invert"),
    ):
        chosen = [ops.gaussian_blur(2.0), ops.crop(3, 4, 9, 11), last]
        count, found = program.run(chosen, 0, IMAGE)
        assert count == 3 and np.array_equal(found, run_ops(chosen, IMAGE, PILLOW)), last


def test_every_move_after_a_resize(isa: str) -> None:
    """A flip and a crop are part of the resize; a quarter turn is not."""
    for transpose, flip_y, flip_x in itertools.product((False, True), repeat=3):
        chosen = [ops.resize(13, 17), ops.Move(2, 3, 8, 11, transpose, flip_y, flip_x)]
        count, found = program.run(chosen, 0, IMAGE)
        assert count == 2 and np.array_equal(found, run_ops(chosen, IMAGE, PILLOW))


def test_the_input_is_not_written_and_not_returned() -> None:
    """Also by ops that run in place, and for an image that is read-only."""
    before = IMAGE.copy()
    image = IMAGE.copy()
    image.flags.writeable = False
    for chosen in ([ops.Paint(0, 0, 5, 5)], [ops.Move(0, 0, 20, 30, flip_x=True)], [ops.resize(20, 30)], []):
        _, found = program.run(chosen, 0, image)
        if chosen and not isinstance(chosen[0], ops.Resize):
            assert not np.shares_memory(found, image)
    assert np.array_equal(image, before)


def test_pixels_of_other_types_are_left_to_the_kernel() -> None:
    """A kernel of a plugin may return them; a program would refuse them, and name no op."""
    for dtype in (bool, np.int8, np.uint16, np.float32, np.float64):
        image = np.zeros((4, 5, 3), dtype)
        count, found = program.run((ops.Resize(2, 2, "bilinear"),), 0, image)
        assert count == 0 and found is image


def test_floats_and_many_channels_run_by_pillow() -> None:
    """The same result, from the kernels of the table."""
    for image in (IMAGE / np.float32(255), np.repeat(IMAGE, 3, axis=2)):
        chosen = [ops.Pad(1, 2, 3, 4), ops.resize(9, 11), ops.Move(0, 0, 9, 11, flip_x=True)]
        assert program.run(chosen, 0, image)[0] == 0
        found, expected = (run_ops(chosen, image, engine) for engine in (NATIVE, PILLOW))
        assert found.dtype == expected.dtype and np.array_equal(found, expected)


def record(code: int, *numbers: int, size: int | None = None) -> bytes:
    """A record of whole numbers."""
    data = struct.pack(f"={len(numbers)}i", *numbers)
    return struct.pack("=2i", code, 8 + len(data) if size is None else size) + data


def resize(
    height: int,
    width: int,
    kernel: int = 0,
    box_height: int = 20,
    part: tuple[float, ...] = (0.0, 0.0, 20.0, 30.0),
) -> bytes:
    """The record of a resize of which 20x30 pixels are made."""
    data = struct.pack("=10i4d", height, width, kernel, 0, 0, box_height, 30, 0, 0, 0, *part)
    return struct.pack("=2i", 1, 8 + len(data)) + data


HOSTILE = {
    "cut off": b"\0\0\0",
    "no such code": record(1000),
    "a negative code": record(-1),
    "too small": record(0, 0, 0, size=16),
    "of size 0": record(0, size=0),
    "beyond the end": record(0, *[0] * 8, size=4096),
    "of an odd size": record(0, *[0] * 9, size=44),
    "a box outside": record(0, 15, 0, 20, 30, 0, 0, 0, 0),
    "a box that overflows": record(0, 2**31 - 1, 0, 2**31 - 1, 1, 0, 0, 0, 0),
    "an empty box": record(0, 0, 0, 0, 30, 0, 0, 0, 0),
    "a resize to nothing": resize(0, 5, box_height=0),
    "a filter of no name": resize(20, 30, kernel=9),
    "a resize to 2^31": resize(2**31 - 1, 2**31 - 1),
    "a resize of a part before the image": resize(20, 30, part=(-0.125, 0.0, 10.0, 10.0)),
    "a resize of a part beyond the rows": resize(20, 30, part=(10.125, 0.0, 10.0, 10.0)),
    "a resize of a part beyond the columns": resize(20, 30, part=(0.0, 0.125, 20.0, 30.0)),
    "a resize of no rows": resize(20, 30, part=(0.0, 0.0, 0.0, 10.0)),
    "a resize of no number of columns": resize(20, 30, part=(0.0, 0.0, 10.0, float("nan"))),
    "a resize from no number": resize(20, 30, part=(0.0, float("nan"), 10.0, 10.0)),
    "a negative border": record(2, -1, 0, 0, 0, *[0] * 6),
    "a huge border": record(2, 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1, *[0] * 6),
    "a border of no kind": record(2, 1, 1, 1, 1, *[0] * 5, 4),
    "a border wider than the image": record(2, 20, 0, 0, 0, *[0] * 5, 2),
    "a box to paint outside": record(3, 0, 29, 1, 2, *[0] * 6),
    "tables that are missing": record(4, 1, 0, *[0] * 16),
    "another shape than the result's": record(0, 0, 0, 19, 30, 0, 0, 0, 0),
}


def test_a_resize_of_a_part_is_run() -> None:
    out = np.zeros_like(IMAGE)
    _native.run(resize(20, 30, part=(0.125, 0.5, 19.875, 29.5)), IMAGE, out, "")
    assert out.any()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused(name: str) -> None:
    out = np.zeros_like(IMAGE)
    with pytest.raises(ValueError, match="the program does not fit the images"):
        _native.run(HOSTILE[name], IMAGE, out, "")
    assert not out.any()


def test_records_and_floats_that_are_not_aligned_are_refused() -> None:
    whole = record(0, 0, 0, 20, 30, 0, 0, 1, 0)
    out = np.zeros_like(IMAGE)
    with pytest.raises(ValueError, match="the program does not fit"):
        _native.run(memoryview(b"1234" + whole)[4:], IMAGE, out, "")
    _native.run(whole, IMAGE, out, "")
    assert np.array_equal(out, IMAGE[:, ::-1])
    floats = memoryview(bytearray(4 * 20 * 30 * 3 + 1))[1:].cast("f", (20, 30, 3))
    with pytest.raises(ValueError, match="the program does not fit"):
        _native.run(whole, floats, np.zeros((3, 20, 30), np.float32).transpose(1, 2, 0), "")


def test_images_that_are_none_are_refused() -> None:
    good = np.empty_like(IMAGE)
    with pytest.raises(ValueError, match="expected height x width x channels of uint8 or float32, got 2 axes"):
        _native.run(b"", IMAGE[..., 0], good, "")
    with pytest.raises(ValueError, match="of format d"):
        _native.run(b"", IMAGE.astype(np.float64), good, "")
    with pytest.raises(ValueError, match="expected a length of 1 to 4 of axis 2, got 5"):
        _native.run(b"", np.zeros((2, 2, 5), np.uint8), good, "")
    with pytest.raises(ValueError, match="of axis 0, got 0"):
        _native.run(b"", IMAGE[:0], good, "")
    good.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        _native.run(b"", IMAGE, good, "")
    with pytest.raises(TypeError, match="4 arguments"):
        _native.run(b"")
    with pytest.raises(ValueError, match="no instruction set sse9"):
        _native.run(b"", IMAGE, IMAGE.copy(), "sse9")


def test_the_instruction_set_can_be_chosen() -> None:
    """By a variable of the environment; `plain` is always there, and an unknown one is an error."""
    assert _native.isa("plain") == "plain" and _native.isa("") and _native.isa("sse9") is None
    code = (
        "import numpy as np, augreg, augreg_native.program as p; print(p.ISA);"
        "augreg.Pipeline.from_spec(['vertical_flip'], backend='native').train(np.zeros((9, 9, 3), np.uint8), index=1)"
    )
    for name, expected in (("plain", "plain"), ("sse9", "no instruction set sse9")):
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "AUGREG_NATIVE_ISA": name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in found.stdout + found.stderr, found


def test_threads_share_nothing() -> None:
    """Eight threads with images of their own, at once: each gets its own result."""
    pipe = augreg.Pipeline.from_spec([{"random_resized_crop": 32}, "normalize"], backend="native")
    images = [np.random.default_rng(seed).integers(0, 256, (90, 80, 3), dtype=np.uint8) for seed in range(8)]
    expected = [pipe.train(image, index=5).tobytes() for image in images]
    found: list[set[bytes]] = [set() for _ in images]

    def work(number: int) -> None:
        for _ in range(30):
            found[number].add(pipe.train(images[number], index=5).tobytes())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{one} for one in expected]


def test_every_kind_of_op_has_a_kernel_of_its_own() -> None:
    assert set(KERNELS) == {*program.ENCODERS, ops.BranchMix}


def test_the_branches_of_a_mix_run_by_this_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    branches = ((ops.enhance("gray", 0.5, "saturation"),), (ops.hue(0.1), ops.resize(20, 30)))
    chosen = ops.BranchMix(branches, (0.25, 0.75), 0.5)
    ran: list[type] = []
    really = program.run
    monkeypatch.setattr(program, "run", lambda chosen, *rest: ran.append(type(chosen[0])) or really(chosen, *rest))
    found = run_ops([chosen], IMAGE, NATIVE)
    assert {ops.Enhance, ops.Hue} <= set(ran)
    assert np.array_equal(found, run_ops([chosen], IMAGE, PILLOW))


def test_a_crop_alone_is_a_view() -> None:
    count, found = program.run([ops.crop(3, 5, 4, 5)], 0, IMAGE)
    assert count == 1 and np.shares_memory(found, IMAGE) and np.array_equal(found, IMAGE[3:7, 5:10])
