"""DALI's operators on the CPU, one thread, a draw for each image of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.auto_aug import auto_augment, rand_augment

from peer_rows.rows import MEAN, SIZE, STD, Row, Work

_PIXELS = {"normalized_anchor": False, "normalized_shape": False}


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """The rows; with JPEGs, the part that is cut out alone is decoded."""
    given: list[Any] = []
    pipeline = _pipeline(name, row, given)(
        batch_size=row.chunk, num_threads=1, device_id=None, prefetch_queue_depth=1, exec_async=False,
        exec_pipelined=False,
    )  # fmt: skip
    pipeline.build()

    def work(indices: range) -> Any:
        given[:] = [inputs[index % len(inputs)] for index in indices]
        (images,) = pipeline.run()
        return images.as_array()

    return {"DALI": work}


def _pipeline(name: str, row: Row, given: list[Any]) -> Any:
    def batch() -> list[Any]:
        return [np.frombuffer(each, np.uint8) for each in given] if row.encoded else list(given)

    mean, std = [255 * value for value in MEAN], [255 * value for value in STD]
    normalize = {"mean": mean, "std": std, "output_layout": "CHW", "dtype": types.FLOAT}

    @pipeline_def(enable_conditionals=True)
    def pipeline() -> Any:
        images = fn.external_source(source=batch, layout=None if row.encoded else "HWC", batch=True)
        flip = fn.random.coin_flip()
        if name in ("A", "A2"):
            anchor = fn.random.uniform(range=(-4, 4), shape=2)
            size = np.array([32.0, 32.0], np.float32)
            images = fn.slice(images, anchor, size, axis_names="HW", out_of_bounds_policy="pad", **_PIXELS)
            images = fn.flip(images, horizontal=flip)
            if name == "A":
                policy = auto_augment.get_reduced_cifar10_policy()
                images = auto_augment.apply_auto_augment(policy, images, fill_value=128)
            else:
                images = rand_augment.rand_augment(images, n=2, m=9, shape=[32, 32], fill_value=128)
            images = fn.crop_mirror_normalize(images, **normalize)
            anchor = fn.random.uniform(range=(-8, 24), shape=2)
            return fn.erase(images, anchor=anchor, shape=[16.0, 16.0], axis_names="HW", fill_value=0.0)
        crop = {"random_area": [0.08, 1.0], "random_aspect_ratio": [0.75, 4 / 3]}
        size = {"size": (SIZE, SIZE), "interp_type": types.INTERP_LINEAR, "antialias": True}
        if row.encoded:
            images = fn.decoders.image_random_crop(images, device="cpu", output_type=types.RGB, **crop)
            images = fn.resize(images, **size)
        else:
            images = fn.random_resized_crop(images, **size, **crop)
        if name == "C":
            images = fn.flip(images, horizontal=flip)
            images = auto_augment.auto_augment_image_net(images, shape=[SIZE, SIZE], fill_value=128)
            images = fn.crop_mirror_normalize(images, **normalize)
            if fn.random.coin_flip(probability=0.25, dtype=types.BOOL):
                hole = fn.random.uniform(range=(0.15, 0.6), shape=2)
                anchor = fn.random.uniform(range=(0, 0.9), shape=2)
                images = fn.erase(images, anchor=anchor, shape=hole, axis_names="HW", fill_value=0.0, normalized=True)
            return images
        factors = {key: fn.random.uniform(range=(0.6, 1.4)) for key in ("brightness", "contrast", "saturation")}
        images = fn.color_twist(images, hue=fn.random.uniform(range=(-36, 36)), **factors)
        return fn.crop_mirror_normalize(images, mirror=flip, **normalize)

    return pipeline
