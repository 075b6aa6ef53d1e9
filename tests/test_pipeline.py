"""Pipelines as people use them: keys, fresh draws, workers, forks, pickles, memory, words."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline, SpecError, Step, ops
from augreg.batch.mixer import Mixer
from augreg.images import buffers
from augreg.regularizers import Dropout
from augreg.transforms import Invert, Mixup, Rotate

PHOTO = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_the_first_example() -> None:
    pipe = Pipeline.from_spec("imagenet")
    x, y = pipe.train(PHOTO, index=7, epoch=2), pipe.test(PHOTO)
    assert x.shape == y.shape == (3, 224, 224) and x.dtype == y.dtype == np.float32
    assert x.tobytes() == pipe.train(PHOTO, index=7, epoch=2).tobytes() != y.tobytes()
    small = Pipeline.from_spec("cifar10").train(PHOTO[:32, :32], index=0)
    assert small.shape == (3, 32, 32) and small.dtype == np.float32


def test_every_part_of_the_key_matters() -> None:
    pipe = Pipeline.from_spec("imagenet")
    other = Pipeline.from_spec({**pipe.to_spec(), "seed": 1})
    keys: list[dict[str, Any]] = [
        {"index": 7},
        {"index": 8},
        {"index": "7"},
        {"index": 7, "epoch": 1},
        {"index": 7, "view": 1},
    ]
    found = [pipe.train(PHOTO, **key).tobytes() for key in keys] + [other.train(PHOTO, index=7).tobytes()]
    assert len(set(found)) == len(found)
    assert found == [pipe.train(PHOTO, **key).tobytes() for key in keys] + [other.train(PHOTO, index=7).tobytes()]


def test_a_bad_key_says_what_a_key_is() -> None:
    pipe = Pipeline.from_spec("imagenet")
    with pytest.raises(ValueError, match="index must be from 0 to"):
        pipe.train(PHOTO, index=-1)
    with pytest.raises(TypeError, match=r"epoch must be an integer, got 1\.5"):
        pipe.train(PHOTO, index=1, epoch=1.5)
    for size in (224, (375,), (0, 500), (375, -1), (375.0, 500)):
        with pytest.raises(ValueError, match="needs the image's size as"):
            pipe.train.plan(size)  # type: ignore[arg-type]


def test_without_an_index_every_call_draws_afresh() -> None:
    pipe = Pipeline.from_spec([{"rotate": 45}])
    assert len({pipe.train(PHOTO).tobytes() for _ in range(20)}) == 20


def _draw(count: int, out: Any) -> None:
    out.put([FRESH.train(PHOTO).tobytes()[:3000] for _ in range(count)])


FRESH = Pipeline.from_spec([{"rotate": 45}, {"brightness": 0.9}])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_do_not_repeat_one_another() -> None:
    FRESH.train(PHOTO)  # so that there is state to copy
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    workers = [context.Process(target=_draw, args=(5, out)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [draw for _ in workers for draw in out.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert len(set(found)) == 15


class Photos:
    """A dataset that augments without telling which sample it is, or telling it."""

    def __init__(self, keyed: bool) -> None:
        self.keyed = keyed
        self.pipe = Pipeline.from_spec({"output": "torch", "image": [{"rotate": 45}, {"normalize": "half"}]})

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        return self.pipe.train(PHOTO[:16, :16], index=index if self.keyed else None)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("keyed", [False, True])
def test_loader_workers(keyed: bool) -> None:
    torch = pytest.importorskip("torch")

    def epoch(workers: int) -> list[bytes]:
        loader = torch.utils.data.DataLoader(Photos(keyed), batch_size=4, num_workers=workers)
        return [image.numpy().tobytes() for batch in loader for image in batch]

    first, second = epoch(2), epoch(2)
    assert len(set(first)) == 12
    if keyed:
        assert first == second == epoch(0)
    else:
        assert not set(first) & set(second)


def test_a_pipeline_pickles_as_its_spec() -> None:
    pipe = Pipeline.from_spec("imagenet")
    data = pickle.dumps(pipe)
    again = pickle.loads(data)
    assert again == pipe and hash(again) == hash(pipe) and len(data) < 2000
    assert again.train(PHOTO, index=3).tobytes() == pipe.train(PHOTO, index=3).tobytes()


def test_either_side_pickles_by_itself_also_after_use() -> None:
    pipe = Pipeline.from_spec("cifar10")
    expected = pipe.train(PHOTO[:32, :32], index=3).tobytes(), pipe.test(PHOTO[:32, :32]).tobytes()
    train, test = pickle.loads(pickle.dumps((pipe.train, pipe.test)))
    assert (train(PHOTO[:32, :32], index=3).tobytes(), test(PHOTO[:32, :32]).tobytes()) == expected


def test_a_pipeline_is_frozen() -> None:
    pipe = Pipeline.from_spec("cifar10")
    with pytest.raises(AttributeError, match="a pipeline is frozen, so 'backend' cannot be set"):
        pipe.backend = "pillow"


@augreg.transform("only_here", kind="color")
class OnlyHere:
    """Darken by a half."""

    def sample(self, rng: Any, scene: ops.Scene) -> ops.Op:
        return ops.point_function("brightness", 0.5)


def test_a_class_added_by_hand_pickles_along() -> None:
    pipe = Pipeline.from_spec(["only_here"], augreg.Registry.installed().add(OnlyHere))
    again = pickle.loads(pickle.dumps(pipe))
    assert again == pipe and np.array_equal(again.train(PHOTO), PHOTO // 2)


def test_images_that_are_held_until_the_interpreter_exits_are_dropped_in_silence() -> None:
    code = (
        "import threading, numpy as np, augreg\n"  # threading goes after augreg does
        "threading.kept = augreg.Pipeline(['invert', 'normalize']).test(np.zeros((200, 200, 3), np.uint8))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_big_buffers_are_used_again_and_never_while_somebody_holds_them() -> None:
    pipe = Pipeline.from_spec([{"normalize": "imagenet"}])

    def address(array: Any) -> int:
        return int(array.__array_interface__["data"][0])

    first = pipe.train(PHOTO, index=1)
    held = first[0, 5:]  # a view is enough to keep the memory
    where, expected = address(first), held.copy()
    del first
    gc.collect()
    others = [pipe.train(PHOTO[::-1], index=1) for _ in range(20)]
    assert all(address(other) != where for other in others) and np.array_equal(held, expected)
    del held, others
    gc.collect()
    kept = [pipe.train(PHOTO, index=1) for _ in range(3)]
    seen = {address(image) for image in kept}
    del kept
    gc.collect()
    assert address(pipe.train(PHOTO, index=1)) in seen


def test_a_tensor_keeps_its_memory() -> None:
    torch = pytest.importorskip("torch")
    pipe = Pipeline.from_spec({"output": "torch", "image": [{"normalize": "imagenet"}]})
    tensor = pipe.train(PHOTO, index=1)
    copy = tensor.clone()
    view = tensor[1, 3:].view(-1)
    expected = view.clone()
    del tensor
    gc.collect()
    for _ in range(20):
        pipe.train(255 - PHOTO, index=1)
    assert torch.equal(view, expected) and copy.shape == (3, 120, 160)


def test_a_buffer_is_an_ordinary_array() -> None:
    array = buffers.empty((300, 300, 3), np.uint8)
    array[:] = 7
    assert type(array) is np.ndarray and array.flags.writeable and array.flags.c_contiguous
    assert type(array.copy()) is np.ndarray and pickle.loads(pickle.dumps(array)).sum() == 7 * array.size


def test_explain_says_rule_and_exactness() -> None:
    text = Pipeline.from_spec("imagenet").test.explain()
    lines = text.splitlines()
    assert lines[0].split() == ["step", "test-time", "rule", "exact", "for"]
    assert lines[1].split()[:2] == ["random_resized_crop", "center"]
    assert lines[2].split() == ["horizontal_flip", "identity", "nothing"]
    assert any(line.split()[:2] == ["brightness", "mean_parameter"] for line in lines)
    assert "`seed` has no effect" in text and "decode" not in text


def test_a_plan_prints_what_was_drawn() -> None:
    text = str(Pipeline.from_spec("imagenet").train.plan((375, 500), index=7, epoch=2))
    assert text.startswith("train, seed 0, epoch 2, index 7: 375x500 rgb uint8, backend")
    for part in (
        "random_resized_crop",
        "crop 344x272 at (18, 188), resize to 224x224",
        "flip left-right",
        "saturation 1.19",
    ):
        assert part in text


def test_a_failing_step_says_where() -> None:
    @augreg.transform("fails", kind="color")
    class Fails:
        """Always fails."""

        def sample(self, rng: Any, scene: ops.Scene) -> ops.Op:
            raise ValueError("no luck")

    pipe = Pipeline.from_spec([{"sequential": ["invert", "fails"]}], augreg.Registry.installed().add(Fails))
    with pytest.raises(augreg.SpecError, match=r"sequential#0/fails#0: fails failed on a 120x160 image: no luck"):
        pipe.train(PHOTO, index=1)


def explode(image: Any, how: str) -> Any:
    if how == "raise":
        raise RuntimeError("boom")
    return image.astype(np.float64) if how == "dtype" else image[:3]


WRONG_CALLS = {
    "raise": "explode failed on a 120x160x3 uint8 image",
    "dtype": "must return height x width x channels of uint8",
    "size": r"declares the size 120x160, but returned 3x160",
}


@pytest.mark.parametrize(("how", "message"), WRONG_CALLS.items())
def test_a_failing_call_says_where(how: str, message: str) -> None:
    @augreg.transform("calls", kind="texture")
    class Calls:
        """Calls a function."""

        def sample(self, rng: Any, scene: ops.Scene) -> ops.Op:
            return ops.call(explode, {"how": how}, size=scene.size)

    pipe = Pipeline.from_spec(["calls"], augreg.Registry.installed().add(Calls))
    with pytest.raises(augreg.ImageError, match=message):
        pipe.train(PHOTO, index=1)


def test_a_transform_that_keeps_its_rng_is_caught() -> None:
    kept: list[Any] = []

    @augreg.transform("keeps", kind="color")
    class Keeps:
        """Keeps its rng."""

        def sample(self, rng: Any, scene: ops.Scene) -> Iterator[Any] | tuple[()]:
            if kept:
                kept[0].random()
            kept.append(rng)
            return ()

    pipe = Pipeline.from_spec(["keeps"], augreg.Registry.installed().add(Keeps))
    pipe.train(PHOTO, index=1)
    with pytest.raises(augreg.SpecError, match=r"keeps#0: .*draw inside sample"):
        pipe.train(PHOTO, index=2)


def test_the_mean_image_moves_along(tmp_path: Any) -> None:
    mean = np.random.default_rng(4).random((120, 160, 3), dtype=np.float32)
    np.save(tmp_path / "mean.npy", mean)
    for given in (str(tmp_path / "mean.npy"), mean.tolist()):
        pipe = Pipeline.from_spec([{"normalize": {"mean_image": given}}, {"random_crop": 50}, "horizontal_flip"])
        for index in range(6):
            top, left = (
                int(n) for n in str(pipe.train.plan((120, 160), index=index).entries[1].ops[0])[15:-1].split(", ")
            )
            flipped = pipe.train.plan((120, 160), index=index).entries[2].applied
            whole = PHOTO / 255 - mean
            expected = whole[top : top + 50, left : left + 50][:, :: -1 if flipped else 1].transpose(2, 0, 1)
            assert np.abs(pipe.train(PHOTO, index=index) - expected).max() < 1e-6
    with pytest.raises(augreg.ImageError, match="put normalize where all images have the size of the mean image"):
        pipe.train(PHOTO[:50], index=1)
    with pytest.raises(augreg.ImageError, match="cannot be read as an array of numbers"):
        Pipeline.from_spec([{"normalize": {"mean_image": "nowhere.npy"}}]).train(PHOTO)


def test_idle_memory_is_bounded_whatever_the_sizes() -> None:
    numbers = np.random.default_rng(0)
    for _ in range(400):
        buffers.empty((int(numbers.integers(100, 1500)), int(numbers.integers(100, 1500)), 3), np.float32)
    assert 0 < buffers.idle_bytes() <= buffers.MOST_IDLE


@augreg.transform("rotate", kind="geometry")
class MyRotate:
    """Not the rotate that comes with the package."""

    angle: float = 5.0

    def sample(self, rng: Any, scene: ops.Scene) -> ops.Op:
        return ops.vertical_flip(scene)


def test_a_pipeline_by_hand_runs_the_classes_it_was_given() -> None:
    with pytest.raises(augreg.SpecError, match=r"another class than .*MyRotate is registered as 'rotate'"):
        Pipeline([MyRotate()])
    registry = augreg.Registry.installed().add(MyRotate, "mine/rotate")
    pipe = Pipeline([MyRotate()], registry)
    assert np.array_equal(pipe.train(PHOTO), PHOTO[::-1]) and "mine/rotate" in pipe.to_spec()["image"][0]
    added = Pipeline([OnlyHere()])
    assert np.array_equal(pickle.loads(pickle.dumps(added)).train(PHOTO), PHOTO // 2)


def test_steps_are_given_as_names_mappings_objects_and_lists() -> None:
    steps: list[Any] = [
        Rotate(12),
        "horizontal_flip",
        {"one_of": ["invert", {"gamma": 0.2}]},
        Step(Invert(), "invert", 0.5),
    ]
    spec = [{"rotate": 12}, "horizontal_flip", {"one_of": ["invert", {"gamma": 0.2}]}, {"invert": {"p": 0.5}}]
    expected = Pipeline.from_spec({"image": spec, "batch": ["mixup"], "model": [{"dropout": "*"}], "seed": 3})
    sections: dict[str, Any] = {"batch": [Mixup()], "model": [Dropout("*")]}
    assert Pipeline(steps, **sections, seed=3) == expected
    assert Pipeline(iter(steps), batch=("mixup",), model=[{"dropout": "*"}], seed=3) == expected
    assert Pipeline.from_spec(steps, **sections, seed=3) == expected
    assert Pipeline.from_spec({"image": steps, **sections, "seed": 3}) == expected
    inside: list[Any] = [{"one_of": [Rotate(12), "invert"]}, [Step(Invert(), "invert", 0.5)]]
    assert Pipeline(inside) == Pipeline([{"one_of": [{"rotate": 12}, "invert"]}, [{"invert": {"p": 0.5}}]])
    with pytest.raises(SpecError, match=r"image\[1\]: no transform named 'rotat'; did you mean 'rotate'\?"):
        Pipeline([Rotate(12), "rotat"])
    with pytest.raises(SpecError, match=r"image: expected a list of steps, got \{'rotate': "):
        Pipeline(Rotate(12))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"a spec is a mapping, .* got Rotate\("):
        Pipeline.from_spec(Rotate(12))
    with pytest.raises(SpecError, match=r"batch: expected a list of steps, got 'mixup'"):
        Pipeline(steps, batch="mixup")
    with pytest.raises(SpecError, match=r"got 'imagenet'; presets, files and specs go to from_spec"):
        Pipeline("imagenet")


def test_options_are_set_by_name() -> None:
    preset = Pipeline.from_spec("imagenet")
    changed = Pipeline.from_spec("imagenet", seed=3, backend="pillow")
    assert changed == Pipeline.from_spec({**preset.to_spec(), "seed": 3, "backend": "pillow"})
    assert preset.replace(seed=3).replace(backend="pillow") == changed and preset.options.seed == 0
    assert changed.replace() == changed and changed.replace(seed=0, backend="auto") == preset
    assert [step.name for step in changed.replace(image=[Invert()], batch=["mixup"]).spec.batch] == ["mixup"]
    kept = Pipeline([OnlyHere()]).replace(image=["only_here", "invert"])
    assert np.array_equal(kept.train(PHOTO, index=1), 255 - PHOTO // 2)
    for make in (Pipeline, Pipeline.from_spec, lambda steps, **options: Pipeline(steps).replace(**options)):
        with pytest.raises(SpecError, match=r"sead: .*'sead'; did you mean 'seed'\?"):
            make(["invert"], sead=3)
        with pytest.raises(SpecError, match="seed: expected"):
            make(["invert"], seed=-3)


def test_what_is_wrong_in_a_file_and_in_the_options_is_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("seed: -1\nclasses: 0\nimage:\n- invret\n")
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(file, seed=-3, sead=1)
    by_path = {problem.path: problem for problem in caught.value.problems}
    assert by_path.keys() == {"seed", "sead", "classes", "image[0]"}
    assert (by_path["seed"].file, by_path["seed"].line) == (None, None) and "got -3" in by_path["seed"].message
    assert by_path["sead"].file is None
    assert (by_path["classes"].file, by_path["classes"].line, by_path["image[0]"].line) == (str(file), 2, 4)
    file.write_text("seed: -1\nimage:\n- invert\n")
    assert Pipeline.from_spec(file, seed=3).options.seed == 3


@pytest.mark.parametrize("make", [Pipeline, Pipeline.from_spec])
def test_a_second_list_says_how_sections_are_given(make: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a Registry, got \['mixup'\]; .* batch=\[\.\.\], model=\[\.\.\]"):
        make(["invert"], ["mixup"])


def test_what_a_pipeline_makes_is_made_of_parts_and_pickles_alone() -> None:
    pipe = Pipeline(["invert"], batch=["mixup"], seed=3, classes=10)
    images, labels, keys = PHOTO[None].repeat(3, 0) // np.array([1, 2, 3]).reshape(3, 1, 1, 1), [1, 2, 3], "abc"
    images = images.astype(np.uint8)
    expected, soft = pipe.batch(images, labels, keys=[*keys])
    again, same = pickle.loads(pickle.dumps(pipe.batch))(images, labels, keys=[*keys])
    assert np.array_equal(again, expected) and same == soft and soft.classes == 10
    alone, _ = Mixer(pipe.spec.batch, seed=3)(images, labels, keys=[*keys])
    assert np.array_equal(alone, expected)


@pytest.mark.parametrize("returned", [[], None, 5, "rotate", (ops.crop(0, 0, 1, 1), None)])
def test_what_sample_may_return_is_said(returned: Any) -> None:
    @augreg.transform("returns", kind="color")
    class Returns:
        """Returns something."""

        def sample(self, rng: Any, scene: ops.Scene) -> Any:
            return returned

    pipe = Pipeline.from_spec(["returns"], augreg.Registry.installed().add(Returns))
    with pytest.raises(augreg.SpecError, match=r"sample returned .*, expected|; expected an op, a step"):
        pipe.train(PHOTO, index=1)


NO_IMAGES = [
    ({"dtype": "float16"}, "got 3 channels of 'float16'"),
    ({"channels": 0}, "got 0 channels"),
    ({"channels": "gray"}, "got 'gray' channels"),
]


@pytest.mark.parametrize(("arguments", "message"), NO_IMAGES)
def test_a_plan_is_for_images_that_can_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline.from_spec("imagenet").train.plan((30, 40), index=1, **arguments)
    assert Pipeline.from_spec("imagenet").train.plan((np.int64(30), np.int32(40)), index=1).scene.size == (30, 40)


def test_a_file_name_that_is_no_text_is_an_index_too() -> None:
    assert Pipeline.from_spec("cifar10").train(PHOTO[:32, :32], index="\udcff.jpg").shape == (3, 32, 32)


def test_a_subclass_keeps_its_parents_check() -> None:
    from augreg.transforms.geometry import RandomResizedCrop

    @augreg.transform("child", kind="geometry", rule="center", preview=({"size": 8},))
    class Child(RandomResizedCrop):
        """A child."""

    with pytest.raises(augreg.SpecError, match="scale must lie in"):
        Child(8, scale=(0.0, 2.0))


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        ({"invert": {"p": 1.0}}, "same"), ({"invert": {"p": 0.5}}, "identity"), ({"invert": {"p": 0.0}}, "identity"),
        ({"brightness": {"factor": [0.2, 0.8], "p": 0.5}}, "mean_parameter"),
        ({"brightness": {"factor": [0.2, 0.8], "p": 0.0}}, "identity"),
    ],
)  # fmt: skip
def test_a_step_that_is_not_always_applied_is_left_out_unless_its_rule_counts_p(step: Any, rule: str) -> None:
    (row,) = [row for row in Pipeline([step]).test.explain().splitlines() if next(iter(step)) in row]
    assert row.split()[1] == rule
