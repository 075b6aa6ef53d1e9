"""The doctor of loaders: faults are found and named, and healthy loaders cause no findings."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import doctored
import numpy as np
import pytest
import torch
from doctored import Labels, Photos, PixelValues, load
from torch.utils.data import DataLoader, RandomSampler, Subset, TensorDataset

import augreg
from augreg.__main__ import main
from augreg.data import Augmented, EpochSampler
from augreg.doctor import Report, loader
from augreg.doctor.batch_mixing import mixes
from augreg.doctor.contents import named_flips
from augreg.doctor.labels import sided
from augreg.doctor.pixel_values import twice_normalized
from augreg.doctor.repeated_draws import tail

NORMALIZE = {"normalize": {"mean": "imagenet", "std": "imagenet"}}
SPEC = {"image": ["horizontal_flip", {"brightness": [0.5, 1.0]}, NORMALIZE], "output": "torch"}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - what is examined starts from a known place
    yield
    torch.set_num_threads(before)


def examined(*sides: Any, **options: Any) -> Report:
    return loader(*sides, **{"samples": 48, **options})


def found(report: Report) -> set[str]:
    """The checks that found a fault or a warning."""
    return {finding.check for finding in report.findings if finding.severity != "note"}


def notes(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity == "note"}


class TestDraws:
    """Random draws, in workers and over epochs."""

    def test_a_kept_generator_repeats_in_every_worker_and_epoch(self) -> None:
        report = examined(load(doctored.KeptGenerator(), 2))
        assert found(report) == {"workers repeat draws", "epochs repeat draws"}
        assert "48 of 48" in report.findings[0].seen
        assert "default_rng([seed, epoch, index])" in report.findings[0].remedy

    def test_persistent_workers_go_on_with_their_streams(self) -> None:
        assert found(examined(load(doctored.KeptGenerator(), 2, persistent_workers=True))) == {"workers repeat draws"}

    def test_one_bit_of_randomness_is_enough(self) -> None:
        assert found(examined(load(doctored.KeptFlip(), 2), epochs=1)) == {"workers repeat draws"}

    def test_without_workers_it_is_a_warning_of_what_workers_would_do(self) -> None:
        (finding,) = examined(load(doctored.KeptGenerator())).findings
        assert (finding.check, finding.severity) == ("workers repeat draws", "warning")
        assert "num_workers=0" in finding.seen

    def test_fixed_seeds_for_workers_repeat_each_epoch(self) -> None:
        report = examined(load(doctored.Torch(), 2, worker_init_fn=doctored.seed_by_number))
        assert found(report) == {"epochs repeat draws"}

    def test_a_worker_init_fn_that_gives_generators_is_well(self) -> None:
        report = examined(load(doctored.WorkerSeeded(), 2, worker_init_fn=doctored.seed_dataset))
        assert report.ok, str(report)

    def test_a_seed_without_epoch_freezes_the_draws(self) -> None:
        assert found(examined(load(doctored.SeededByIndex()))) == {"frozen draws"}

    def test_an_attribute_does_not_reach_persistent_workers(self) -> None:
        report = examined(load(doctored.EpochAttribute(), 2, persistent_workers=True))
        assert found(report) == {"epoch does not reach workers"}

    def test_an_attribute_reaches_new_workers_and_is_put_back(self) -> None:
        data = doctored.EpochAttribute()
        data.epoch = 5
        report = examined(load(data, 2))
        assert report.ok, str(report)
        (note,) = [finding for finding in report.findings if finding.check == "set_epoch"]
        assert "all 40 images stay bit-equal until set_epoch" in note.seen
        assert data.epoch == 5

    def test_keys_whose_epoch_stands_still(self) -> None:
        report = examined(load(doctored.Keyed(), sampler=doctored.KeySampler(moves=False)))
        assert found(report) == {"epoch does not change"}

    def test_a_keyed_dataset_that_draws_otherwise(self) -> None:
        report = examined(load(doctored.KeyedAndKept(), 2, sampler=doctored.KeySampler()), epochs=1)
        assert found(report) == {"not determined by the key", "workers repeat draws"}

    def test_a_collate_fn_that_keeps_a_generator(self) -> None:
        report = examined(load(Photos(), 2, collate_fn=doctored.Mixing(kept=True)))
        assert found(report) == {"workers repeat batch draws", "epochs repeat batch draws"}
        assert examined(load(Photos(), collate_fn=doctored.Mixing())).ok

    @pytest.mark.parametrize(("labels", "workers"), [("hard", 0), ("unknown", 1)])
    def test_mixed_images_with_hard_labels(self, labels: str, workers: int) -> None:
        report = examined(load(Photos(), workers, collate_fn=doctored.Mixing(labels=labels)))
        assert found(report) == {"mixed images, hard labels"}

    def test_labels_that_tell_of_mixing_and_batches_that_are_not_mixed(self) -> None:
        samples = [Photos()[index] for index in range(12)]
        for labels, kind_found in (("mixed", "soft"), ("both", "soft"), ("none", None), ("hard", "hard")):
            assert mixes(doctored.Mixing(labels=labels), samples) == kind_found
        for collate in (doctored.stacked, doctored.jittered, doctored.padded):
            assert mixes(collate, samples) is None

    @pytest.mark.parametrize(
        ("dataset", "workers"),
        [(doctored.Torch, 2), (doctored.TorchFlip, 0), (doctored.Globals, 0), (doctored.Repeated, 0)],
    )
    def test_plain_torch_code_is_well(self, dataset: Any, workers: int) -> None:
        report = examined(load(dataset(), workers))
        assert report.ok, str(report)
        assert notes(report) - {"one label"} == {"global generators"}

    def test_no_augmentation_is_a_note(self) -> None:
        report = examined(load(Subset(Photos(), range(20))), load(Photos(held_out=True), shuffle=False))
        assert report.ok
        assert notes(report) == {"no augmentation"}

    def test_equal_images_are_no_repeated_draws(self) -> None:
        data = TensorDataset(torch.zeros(30, 3, 4, 4) + torch.rand(3, 4, 4), torch.zeros(30, dtype=torch.int64))
        assert examined(load(data)).ok

    def test_global_generators_are_named_and_left_alone(self) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        (note,) = [f for f in examined(load(doctored.Globals())).findings if f.check == "global generators"]
        assert "random (40 of 40 samples), numpy.random (40 of 40 samples); 40 images" in note.seen
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        assert before == after

    def test_seeding_a_global_generator(self) -> None:
        assert found(examined(load(doctored.SeedsGlobals()))) == {"seeds a global generator", "frozen draws"}

    def test_a_stream_that_is_not_divided(self) -> None:
        assert found(examined(load(doctored.Stream(divided=False), 2))) == {"workers repeat the stream"}
        report = examined(load(doctored.Stream(divided=True), 2))
        assert report.ok, str(report)
        assert any("stream" in line for line in report.unchecked)

    def test_a_stream_for_one_process_need_not_be_divided(self) -> None:
        report = examined(load(doctored.Stream(divided=False)))
        assert report.ok, str(report)
        assert "workers repeat the stream" in notes(report)

    def test_a_stream_that_is_not_divided_and_drawn_for(self) -> None:
        (finding,) = examined(load(doctored.Stream(divided=False, drawn=True), 2)).findings
        assert (finding.check, finding.severity) == ("workers repeat the stream", "fault")
        assert "by their labels" in finding.seen

    @pytest.mark.parametrize("stream", [doctored.Endless(), doctored.Halves(), doctored.Blank()])
    def test_streams_of_workers_that_differ_are_well(self, stream: Any) -> None:
        report = examined(load(stream, 2))
        assert report.ok, str(report)

    def test_validation_that_is_random(self) -> None:
        report = examined(None, load(doctored.TorchFlip(), shuffle=False))
        assert found(report) == {"random validation"}
        (finding,) = [finding for finding in report.findings if finding.severity == "fault"]
        assert set(finding.samples) <= set(range(40))
        assert examined(None, load(Photos(), shuffle=False)).ok


def passed(given: DataLoader) -> list[bytes]:
    """The images of one pass, from a known state of torch's generator."""
    torch.manual_seed(11)
    return [batch[0].numpy().tobytes() for batch in given]


class TestNoHarm:
    """An examination changes nothing: not the dataset, not what a loader makes of it, and not the loader."""

    @pytest.mark.parametrize("workers", [0, 2])
    @pytest.mark.parametrize("dataset", [doctored.LazyGenerator, doctored.LazyFile])
    def test_what_a_dataset_makes_on_first_use(self, dataset: Any, workers: int) -> None:
        data, held = dataset(), dataset()
        train, validation = load(Subset(data, range(32)), workers), load(held, workers // 2, shuffle=False)
        before = dict(vars(data)), dict(vars(held))
        report = loader(train, validation, samples=24, epochs=1)
        assert found(report) == {"random validation"}
        assert not [
            line for line in report.unchecked if not any(word in line for word in ("labels", "epochs", "files"))
        ]
        assert (vars(data), vars(held)) == before
        assert len(list(load(data, 1))) == len(list(load(held))) == 5  # what was opened here would fail there

    @pytest.mark.parametrize(
        ("dataset", "workers"), [(doctored.KeptGenerator, 0), (doctored.KeptGenerator, 1), (doctored.Torch, 0)]
    )
    def test_a_loader_draws_as_before(self, dataset: Any, workers: int) -> None:
        data = dataset()
        before = dict(vars(data))
        loader(load(data, workers), samples=8)
        assert vars(data) == before
        assert passed(load(data, workers)) == passed(load(dataset(), workers))

    def test_collate_fns_and_samplers_too(self) -> None:
        def make() -> DataLoader:
            sampler = RandomSampler(photos, generator=torch.Generator().manual_seed(2))
            return load(photos, sampler=sampler, collate_fn=doctored.Mixing(kept=True))

        photos = doctored.Photos()
        given = make()
        loader(given, samples=16)
        assert passed(given) == passed(make())

    def test_workers_that_persist_are_not_started(self) -> None:
        data = doctored.EpochAttribute()
        given = load(data, 1, persistent_workers=True, shuffle=False)
        loader(given, samples=8)
        data.epoch = 3
        assert passed(given) == passed(load(data, shuffle=False))

    def test_an_epoch_that_cannot_be_read_is_put_back(self) -> None:
        data = doctored.HiddenEpoch()
        data.set_epoch(5)
        loader(load(data), samples=8)
        assert data.last_epoch == 5

    def test_a_dataset_that_cannot_be_copied(self) -> None:
        data = doctored.LazyAndLocked()
        before = dict(vars(data))
        report = loader(load(data), samples=16)
        assert report.ok, str(report)
        assert vars(data) == before
        (line,) = [line for line in report.unchecked if "copy" in line]
        assert "lock" in line

    def test_what_workers_cannot_do_is_said_in_one_line(self) -> None:
        report = loader(load(doctored.OnlyHere()), samples=8)
        (line,) = [line for line in report.unchecked if "two workers" in line]
        assert line.endswith("failed: OSError: not in a worker")


def test_the_exact_test_of_fisher() -> None:
    """Against the classical table: 3 of 4 and 1 of 4 give 17/70."""
    assert tail(3, 4, 1, 4) == pytest.approx(17 / 70)
    assert tail(0, 4, 0, 4) == 1.0
    assert tail(4, 4, 4, 4) == 1.0
    assert tail(48, 48, 24, 48) < 1e-6 < tail(10, 10, 5, 10)


class TestPixelValues:
    """Pixel values, in validation loaders, which start no workers."""

    @pytest.mark.parametrize(
        ("kind", "check"),
        [
            ("nan", "not finite"),
            ("constant", "constant images"),
            ("black", "constant images"),
            ("zeros", "constant images"),
            ("twice", "normalized twice"),
            ("twice by halves", "normalized twice"),
            ("twice by its own", "normalized twice"),
            ("bytes", "not scaled"),
            ("twice scaled", "scaled twice"),
            ("scaled and normalized", "normalized after a second division by 255"),
            ("wrong scale", "normalized on the wrong scale"),
        ],
    )
    def test_what_is_wrong_is_named(self, kind: str, check: str) -> None:
        report = examined(None, load(PixelValues(kind=kind), shuffle=False))
        assert found(report) == {check}

    @pytest.mark.parametrize(
        ("kind", "note"),
        [
            ("once", set()),
            ("standardized", set()),
            ("high contrast", set()),
            ("logarithms", set()),
            ("four channels", set()),
            ("one channel empty", set()),
            ("uint8", {"integer images"}),
            ("unit", {"not normalized"}),
            ("erased", {"not normalized"}),
        ],
    )
    def test_what_is_well_is_at_most_noted(self, kind: str, note: set[str]) -> None:
        report = examined(None, load(PixelValues(kind=kind), shuffle=False))
        assert report.ok, str(report)
        assert notes(report) == note

    def test_places_of_broken_images(self) -> None:
        report = examined(None, load(PixelValues(kind="nan"), shuffle=False))
        assert report.findings[0].samples == ("batch 0, image 3", "batch 0, image 5")

    @pytest.mark.parametrize("mean", [0.1, 0.3, 0.5, 0.7])
    @pytest.mark.parametrize("spread", [0.1, 0.2, 0.3])
    def test_images_normalized_once_are_never_called_twice(self, mean: float, spread: float) -> None:
        """Beta-distributed values, normalized once by their own numbers and by others, against every known pair."""
        from augreg.doctor.pixel_values import KNOWN

        size = mean * (1 - mean) / spread**2 - 1
        if size <= 0:
            pytest.skip("no distribution on 0..1 has this spread")
        rng = np.random.Generator(np.random.Philox(1))
        values = rng.beta(mean * size, (1 - mean) * size, (5000, 3))
        for m, s in ((mean, spread), *KNOWN.values()):
            once = (values - np.asarray(m)) / np.asarray(s)
            for mean_of, std_of in KNOWN.values():
                assert not twice_normalized(once, np.asarray(mean_of), np.asarray(std_of))


class TestAgreement:
    """Train against validation, given as lists of batches."""

    @pytest.mark.parametrize(
        ("kind", "check"),
        [
            ("uint8", "scales differ"),
            ("unit", "scales differ"),
            ("last", "layouts differ"),
            ("gray", "channels differ"),
            ("bgr", "channel order differs"),
            ("twice by halves", "normalizations differ"),
        ],
    )
    def test_what_differs(self, kind: str, check: str) -> None:
        report = examined(list(load(PixelValues(kind="once"))), list(load(PixelValues(kind=kind))))
        assert check in found(report), str(report)
        assert "dtypes differ" not in notes(report)

    @pytest.mark.parametrize(("train", "validation"), [("unit", "foggy"), ("unit", "noisy"), ("noisy", "unit")])
    def test_one_scale_with_other_contrast_or_noise(self, train: str, validation: str) -> None:
        report = examined(list(load(PixelValues(kind=train))), list(load(PixelValues(kind=validation))))
        assert report.ok, str(report)

    def test_a_few_images_do_not_show_the_order_of_channels(self) -> None:
        sides = [list(load(PixelValues(16, kind=kind))) for kind in ("once", "bgr")]
        assert examined(*sides).ok

    def test_a_side_without_images_or_with_none_that_is_finite(self) -> None:
        good = list(load(PixelValues(kind="once")))
        report = examined(good, [{"text": ["a", "b"]}])
        assert report.ok, str(report)
        nan = [torch.full((8, 3, 12, 12), torch.nan)]
        assert found(examined(good, nan)) == found(examined(nan, good)) == {"not finite"}

    def test_images_with_different_numbers_of_channels(self) -> None:
        mixed = [[(2 * torch.rand(channels, 8, 8) - 1, 0) for channels in (1, 3, 1, 3)]]
        assert examined(mixed, [[(torch.rand(3, 8, 8) - 0.5, 0)]]).unchecked
        assert not found(examined(mixed, [[(-image, label) for image, label in mixed[0]]]))
        scaled = [[((255 * (image + 1) / 2).byte(), label) for image, label in mixed[0]]]
        assert found(examined(mixed, scaled)) == {"scales differ"}

    def test_what_may_differ(self) -> None:
        report = examined(list(load(PixelValues(kind="once"))), list(load(PixelValues(kind="large", held_out=True))))
        assert report.ok
        assert notes(report) == {"sizes differ"}
        assert examined(list(load(PixelValues(kind="once"))), list(load(Photos(held_out=True)))).findings == ()


class TestLabels:
    """Labels, and flips that break them."""

    @pytest.mark.parametrize(
        ("kind", "check"),
        [
            ("from one", "labels out of range"),
            ("negative", "labels out of range"),
            ("fractions", "fractional labels"),
            ("nan", "labels not finite"),
            ("changing", "labels change"),
            ("narrow", "label width"),
        ],
    )
    def test_what_is_wrong_is_named(self, kind: str, check: str) -> None:
        assert found(examined(None, load(Labels(kind=kind), shuffle=False))) == {check}

    @pytest.mark.parametrize("kind", ["soft", "ignored", "column", "attributes", "mask"])
    def test_what_is_well(self, kind: str) -> None:
        assert examined(None, load(Labels(kind=kind), shuffle=False)).ok

    def test_a_target_that_changes_with_the_image(self) -> None:
        report = examined(load(doctored.Regression()))
        assert report.ok, str(report)
        assert notes(report) == {"global generators", "fractional labels"}

    def test_images_that_come_out_mirrored(self) -> None:
        assert found(examined(load(doctored.Sides()))) == {"flips against labels"}
        for healthy in (Photos(), doctored.Shifted()):
            assert examined(load(healthy), classes=doctored.Sides.classes).ok

    def test_flips_of_a_pipeline_that_is_given(self) -> None:
        batches = list(load(Photos()))
        for spec, flips in ((SPEC, True), ([{"horizontal_flip": {"p": 0.0}}], False), ([{"one_of": ["d4"]}], True)):
            report = examined(batches, pipeline=spec, classes=list("bdpq"))
            assert (found(report) == {"flips against labels"}) is flips
            assert flips or report.ok

    def test_flips_by_the_names_of_transforms(self) -> None:
        class RandomHorizontalFlip:
            p = 0.5

        class Compose:
            transforms = (RandomHorizontalFlip(),)

        data = Photos()
        data.transform = Compose()
        names = [name for part in (Subset(data, [1, 2]), Photos()) for name in named_flips(part)]
        assert names == ["RandomHorizontalFlip"]
        RandomHorizontalFlip.p = 0.0
        assert not list(named_flips(data))

    @pytest.mark.parametrize(
        ("names", "wrong", "sure"),
        [
            (["hand_left", "hand_right", "head"], ["hand_left", "hand_right"], True),
            (["turnLeft", "turnRight"], ["turnLeft", "turnRight"], True),
            (["0 - zero", "1 - one", "2 - two"], ["0 - zero", "1 - one", "2 - two"], True),
            (["b", "d"], ["b", "d"], True),
            (["clockwise", "counter-clockwise"], ["clockwise", "counter-clockwise"], True),
            (["right whale", "blue whale"], ["right whale"], False),
            (["road with arrow", "road"], ["road with arrow"], False),
            (["aeroplane", "automobile", "bird"], [], False),
            (["vitamin c", "orange juice", "milk"], [], False),
        ],
    )
    def test_names_that_a_mirror_belies(self, names: list[str], wrong: list[str], sure: bool) -> None:
        assert sided(names) == (wrong, sure)


class TestForms:
    """Whatever form batches have."""

    @pytest.mark.parametrize(
        "collate",
        [
            lambda samples: {"pixel_values": torch.stack([s[0] for s in samples]), "labels": [s[1] for s in samples]},
            lambda samples: (np.stack([s[0].numpy().transpose(1, 2, 0) for s in samples]), [s[1] for s in samples]),
            lambda samples: samples,
            lambda samples: ([s[0] for s in samples], [s[1] for s in samples]),
            lambda samples: torch.stack([s[0] for s in samples]),
            lambda samples: ([torch.stack([s[0] for s in samples])] * 2, torch.tensor([s[1] for s in samples])),
        ],
        ids=["mapping", "numpy, channels last", "samples apart", "lists", "images only", "views"],
    )
    def test_images_and_labels_are_found(self, collate: Any) -> None:
        batches = [collate([PixelValues(kind="twice")[index] for index in range(n, n + 4)]) for n in (0, 4, 8, 12)]
        report = examined(batches)
        assert found(report) == {"normalized twice"}
        assert "16 images" in report.checked[0]

    def test_soft_labels_of_ours(self) -> None:
        from augreg.batch.labels import SoftLabels

        images = torch.stack([Photos()[index][0] for index in range(8)])
        batch = images, SoftLabels(np.arange(8) % 4)
        assert examined([batch], classes=list("wxyz!")).ok
        assert found(examined([batch], classes=["cat", "dog"])) == {"labels out of range"}


class TestOurs:
    """augreg's own loaders have no findings."""

    @pytest.fixture
    def pipe(self) -> Any:
        return augreg.Pipeline.from_spec({**SPEC, "batch": ["mixup"]})

    @pytest.fixture
    def photos(self) -> list[Any]:
        return [(image, index % 4) for index, image in enumerate(doctored.PHOTOS)]

    def test_epoch_sampler_and_collate(self, pipe: Any, photos: Any) -> None:
        data = Augmented(photos, pipe.train)
        sampler = EpochSampler(data)
        sampler.set_epoch(4)
        train = DataLoader(data, 8, sampler=sampler, num_workers=2, collate_fn=pipe.collate, persistent_workers=True)
        held_out = [(image, index % 4) for index, image in enumerate(doctored.HELD_OUT)]
        test = DataLoader(Augmented(held_out, pipe.test), 8, collate_fn=pipe.collate)
        report = examined(train, test, classes=["cat", "dog", "cow", "fox"])
        assert report.ok, str(report)
        assert notes(report) == {"set_epoch"}
        assert "train: labels of mixed images" in report.checked
        assert sampler.epoch == 4
        train = DataLoader(data, 8, sampler=sampler, collate_fn=pipe.collate)
        assert found(loader(train, classes=list("bdpq"), samples=8)) == {"flips against labels"}

    def test_the_epoch_of_a_dataset_is_examined_and_put_back(self, pipe: Any, photos: Any) -> None:
        data = Augmented(photos, pipe.train, epoch=7)
        report = loader(DataLoader(data, 8, shuffle=True), samples=16)
        assert report.ok, str(report)
        assert data.epoch == 7
        (note,) = [finding for finding in report.findings if finding.check == "set_epoch"]
        assert "all 16 images stay bit-equal until set_epoch" in note.seen

    def test_a_batch_section_that_nobody_applies(self, pipe: Any, photos: Any) -> None:
        data = Augmented(photos, pipe.train)
        stacks = DataLoader(data, 8, sampler=EpochSampler(data))
        assert "batch section not applied" in notes(loader(stacks, samples=8))
        assert "batch section not applied" not in notes(loader(stacks, samples=8, pipeline=pipe))  # the loop does

    def test_an_epoch_that_nobody_sets_is_said(self, pipe: Any, photos: Any) -> None:
        data = Augmented(photos, pipe.train)
        report = examined(DataLoader(data, 8, shuffle=True))
        assert found(report) == {"error"}
        assert "set_epoch" in report.findings[0].seen
        with pytest.raises(TypeError, match="epoch"):
            data[0]  # the doctor has not set it either

    def test_flips_are_not_applied_by_the_test_side(self, pipe: Any, photos: Any) -> None:
        report = loader(DataLoader(Augmented(photos, pipe.test), 8), classes=list("bdpq"), samples=8)
        assert report.ok, str(report)

    def test_the_train_side_in_validation(self, pipe: Any, photos: Any) -> None:
        data = Augmented(photos, pipe.train)
        assert found(examined(None, DataLoader(data, 8, sampler=EpochSampler(data)))) == {"random validation"}


class TestReport:
    """What is handed out, and what is refused."""

    def test_errors_of_the_loader_are_findings(self) -> None:
        report = examined(load(doctored.Raises(), 2))
        assert found(report) == {"error"}
        assert "FileNotFoundError: cats/17.jpg" in report.findings[0].seen
        assert "sample 17" in report.findings[0].seen

    def test_it_prints_and_is_plain_data(self) -> None:
        report = examined(None, load(PixelValues(kind="nan"), shuffle=False))
        text = str(report)
        assert text.startswith("1 fault\n\nfault: validation: not finite\n  2 of 40 images")
        assert "\n  why: " in text
        assert "\n  do: " in text
        assert json.loads(json.dumps(report.as_dict()))["findings"][0]["check"] == "not finite"
        with pytest.raises(AttributeError):
            report.findings = ()  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({}, "nothing to examine"),
            ({"train": 3}, "train must be a DataLoader"),
            ({"train": [], "samples": 0}, "samples must be an integer of at least 1"),
            ({"train": [], "epochs": 1.5}, "epochs must be an integer of at least 1"),
            ({"train": [], "classes": "cat"}, "classes must be a list"),
        ],
    )
    def test_wrong_arguments(self, given: Any, message: str) -> None:
        with pytest.raises((TypeError, ValueError), match=message):
            loader(**given)

    def test_images_of_several_kinds_and_none_at_all(self) -> None:
        empty = examined(DataLoader([], batch_size=2))  # type: ignore[arg-type]
        assert found(empty) == {"no batches"}
        assert any("yields no keys" in line for line in empty.unchecked)
        gray, color = torch.zeros(1, 4, 4), torch.rand(3, 5, 4) - 0.5
        mixed = [[(gray, 0), (color, 1)]]
        assert "constant images" in found(examined(mixed, [torch.full((2, 3, 4, 4), torch.nan)]))

    def test_what_cannot_be_checked_is_said(self) -> None:
        report = examined([{"text": ["a", "b"]}])
        assert report.ok
        assert any("no image" in line for line in report.unchecked)
        assert any("no DataLoader" in line for line in report.unchecked)
        assert any("epochs" in line for line in examined(load(doctored.Torch()), epochs=1).unchecked)


class TestCommand:
    """`augreg doctor loader MODULE:FUNCTION`."""

    @pytest.fixture(autouse=True)
    def here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(Path(__file__).parent)

    def test_a_loader_that_is_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "loader", "doctored:pair", "--samples", "40"]) == 0
        assert "note: train: global generators" in capsys.readouterr().out

    def test_a_faulty_loader(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "loader", "doctored:faulty", "--samples", "40", "--json"]) == 1
        out, err = capsys.readouterr()
        data = json.loads(out)
        assert not data["ok"]
        assert {finding["check"] for finding in data["findings"]} == {"workers repeat draws", "epochs repeat draws"}
        assert err == "what the user's code prints\n"

    def test_a_function_that_raises(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "loader", "doctored:broken"]) == 1
        assert "RuntimeError: no data here" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("doctored:nothing", "has no function 'nothing'"),
            ("no_such_module:pair", "cannot be imported"),
            ("doctored:number", "must be a DataLoader"),
        ],
    )
    def test_wrong_calls(self, source: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "loader", source]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert message in err

    @pytest.mark.parametrize("argv", [["doctor", "loader"], ["doctor", "loader", "doctored"], ["doctor", "plugins"]])
    def test_usage(self, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as done:
            main(argv)
        assert done.value.code == 2
        assert capsys.readouterr().err.startswith("usage: augreg doctor")

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_knows_the_sub_command(self, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["completion", shell]) == 0
        text = capsys.readouterr().out
        assert "loader" in text
        assert "samples" in text
