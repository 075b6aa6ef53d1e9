"""Build the compiled module with sanitizers and run random work through it: `python tools/fuzz.py [SECONDS [SEED]]`.

AddressSanitizer and UndefinedBehaviorSanitizer end the run at the first access outside an image and at the first
undefined operation. Three kinds of work, in turn and on every instruction set that the processor has:

- pipelines of random built-in steps, on images of any size and stride: the bytes must be those of Pillow;
- resizes with boxes and flips, the same as in tests/test_resize.py;
- programs with damaged records: they may be refused or run, and must not crash.

It needs a C compiler with sanitizers, and an environment with augreg[testing]; pip builds, as in an installation.
"""

from __future__ import annotations

import contextlib
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).resolve().parents[1]
_OPTIONS = "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=256:detect_stack_use_after_return=1"


def main() -> int:
    """Build, then start this file again with the sanitizers loaded."""
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        options = {"cmake.define.AUGREG_SANITIZE": "ON", "install.strip": "false", "build-dir": f"{folder}/build"}
        settings = [f"--config-settings={name}={value}" for name, value in options.items()]
        subprocess.run([*install, *settings, "--target", folder, str(PLUGIN)], check=True)
        library = subprocess.run(
            [os.environ.get("CC", "cc"), "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
        )
        environment = {
            **os.environ,
            "LD_PRELOAD": library.stdout.strip(),
            "ASAN_OPTIONS": _OPTIONS,
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",  # every object in a block of its own, so that the bytes after it are watched
            "PYTHONPATH": os.pathsep.join([folder, str(PLUGIN / "tests"), os.environ.get("PYTHONPATH", "")]),
        }
        arguments = sys.argv[1:] or ["60"]
        return subprocess.run(
            [sys.executable, __file__, "--run", *arguments], env=environment, check=False
        ).returncode


def run(seconds: float, seed: int) -> None:
    """Random work until the time is over; prints the seed of each round before it starts."""
    import numpy as np
    from augreg_native import _native, program

    from augreg.images import buffers

    def exact(shape: tuple[int, ...], dtype: Any) -> Any:
        """Memory of just this size: NumPy keeps small blocks, and the pool rounds sizes up."""
        dtype = np.dtype(dtype)
        return np.frombuffer(bytearray(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)

    buffers.empty = exact
    sets = [name for name in ("plain", "avx2", "avx512") if _native.isa(name)]
    end = time.monotonic() + seconds
    counts = [0, 0, 0]
    while time.monotonic() < end:
        for name in sets:
            program.ISA = name
            print(f"\rseed {seed} {name} {counts} ", end="", flush=True)
            counts[0] += pipelines(seed)
            counts[1] += resizes(seed)
            counts[2] += damaged(seed)
        seed += 1
    done = f"{counts[0]} pipelines, {counts[1]} resizes and {counts[2]} damaged programs"
    print(f"\n{done} on {', '.join(sets)}: no finding")


def image_of(numbers: random.Random, most: int) -> Any:
    """An image in memory of just its size; sometimes a view of pixels in another order."""
    import numpy as np

    height, width = (numbers.choice((1, 2, numbers.randint(1, 9), numbers.randint(1, most))) for _ in "hw")
    channels = numbers.choice((3, 3, 3, 1, 4, 2))
    image = np.frombuffer(bytearray(numbers.randbytes(height * width * channels)), np.uint8)
    if numbers.random() < 0.2:
        return image.reshape(channels, height, width).transpose(1, 2, 0)
    image = image.reshape(height, width, channels)
    return image[:: numbers.choice((1, 1, -1)), :: numbers.choice((1, 1, -1, 2))]


def pipelines(seed: int) -> int:
    """Pipelines of random steps, by this backend and by Pillow."""
    import numpy as np

    from augreg import ImageError, Pipeline, Registry

    numbers = random.Random(seed)
    names = [name for name in Registry.installed().section("image") if "/" not in name]
    count = 0
    for _ in range(20):
        steps = [
            {name: {"p": 1}} if numbers.random() < 0.5 else name
            for name in numbers.sample(names, numbers.randint(1, 5))
        ]
        try:
            pipe = Pipeline.from_spec(steps, backend="native", seed=seed)
        except Exception:  # a step that needs arguments, or that may not follow another
            continue
        image, index = image_of(numbers, 60), numbers.randrange(100)
        found = []
        for one in (pipe, pipe.replace(backend="pillow")):
            try:
                result = one.train(image, index=index)
                found.append((result.shape, np.ascontiguousarray(result).tobytes()))
            except ImageError as error:
                found.append(str(error).replace("native", "pillow"))
        assert found[0] == found[1], (seed, steps, image.shape, index)
        count += 1
    return count


def resizes(seed: int) -> int:
    """Those of the test, smaller because the sanitizers are slow."""
    from test_resize import check, check_parts

    check(seed, 20, 120)
    check_parts(seed, 20, 120)
    return 40


def damaged(seed: int) -> int:
    """Whole programs, in which some numbers are replaced by others, often by extreme ones."""
    import numpy as np
    from augreg_native import _native, program
    from test_resize import box, moved, resized

    from augreg import ops

    numbers = random.Random(seed)
    extremes = (0, 1, -1, 2, 3, 127, 255, 256, 2**31 - 1, -(2**31))
    large = (2**16, 2**24, 2**24 + 1)  # not before ops that take minutes on such an image
    for _ in range(60):
        image = image_of(numbers, 40)
        before = box(numbers, *image.shape[:2])
        height, width = moved(before, image).shape[:2]
        chosen = [before, ops.resize(resized(numbers, height, 90), resized(numbers, width, 90))]
        scene = ops.Scene(chosen[1].height, chosen[1].width, image.shape[2])
        others = [
            ops.rotate(scene, 9.0, "bilinear"),
            ops.shear(scene, 0.3, 0.1),
            ops.translate(scene, 3.5, 0.2, numbers.choice(("bilinear", "bicubic"))),
            ops.lens(scene, 0.3, numbers.choice(("nearest", "bilinear"))),
            ops.grid(scene, 3, 2, 0.3, 5, numbers.choice(("nearest", "bilinear"))),
            ops.motion_blur(4.0, 30.0),
            ops.noise_box(scene, 0, 0, 1, 1, 5),
            ops.enhance("smooth", 1.5, "sharpness"),
            ops.gaussian_blur(numbers.uniform(0.1, 9)),
            ops.median_blur(numbers.choice((3, 5, 9))),
            ops.noise(scene, numbers.choice(("gaussian", "shot", "iso")), (2.0, 0.1), 7),
            ops.point_function("posterize", 3),
            ops.image_statistic(numbers.choice(("equalize", "auto_contrast"))),
        ]
        if scene.channels == 3:
            others += [ops.hue(0.1), ops.enhance("gray", 0.5, "saturation"), ops.image_statistic("contrast", 1.5)]
            others += [ops.shift_channels(scene, (9.0, -9.0, 0.5)), ops.local_contrast(2.0, (3, 4))]
        few = numbers.sample(others, numbers.randint(0, 4))
        chosen += few
        chosen += [ops.Pad(1, 2, 3, 4), ops.Paint(0, 0, 2, 2), ops.Normalize((0.5,), (0.5,)), ops.Paint(1, 0, 2, 2)]
        shape, records = program.Shape(*image.shape), b""
        for op in chosen[: numbers.randint(1, 10)]:
            records += program.ENCODERS[type(op)](op, shape) or b""
            size = op.size_after(*shape[:2]) or (1, 1)
            shape = program.Shape(*size, shape.channels, shape.floats or isinstance(op, ops.Normalize))
        words = [*struct.unpack(f"={len(records) // 4}i", records)]
        for _ in range(numbers.randint(1, 3) if words else 0):
            words[numbers.randrange(len(words))] = numbers.choice(
                (*extremes, *(() if few else large), numbers.randint(-100, 100))
            )
        data = struct.pack(f"={len(words)}i", *words)[: len(records) - numbers.choice((0, 0, 0, 4, 9))]
        kind = np.dtype(np.float32 if shape.floats else np.uint8)
        out = np.frombuffer(bytearray(int(np.prod(shape[:3])) * kind.itemsize), kind)
        planes = out.reshape(shape.channels, *shape[:2]).transpose(1, 2, 0)
        with contextlib.suppress(ValueError, MemoryError):
            _native.run(data, image, planes if shape.floats else out.reshape(shape[:3]), program.ISA)
    return 60


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    else:
        sys.exit(main())
