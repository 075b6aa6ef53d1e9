"""The two sides of a pipeline: `train`, which draws the noise, and `test`, its expectation."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

import msgspec

from augreg.backends import Backend, backend
from augreg.columns.philox import Addresses, addresses_of
from augreg.errors import ImageError
from augreg.execution.eager import eager
from augreg.execution.passes import passes
from augreg.execution.plan import Plan, planned_scene
from augreg.execution.run import RunSettings
from augreg.execution.samples import run
from augreg.execution.sampling import Drawn, Entry, draw, expect
from augreg.named_views.declared import NamedView, expanded
from augreg.ops import Op, Scene
from augreg.registry.discovery import load
from augreg.registry.registry import Registry
from augreg.rng import Address, address_of, fresh_seed, stream_key
from augreg.spec import misuse
from augreg.spec.options import SECTIONS, Options, Spec
from augreg.spec.overview import rule_rows
from augreg.spec.write import added, fingerprint
from augreg.steps.calls import explains
from augreg.steps.rules import is_random

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from augreg.devices.draws import BatchDraws
    from augreg.execution.plan import Source
    from augreg.named_views.drawing import ViewDraws

__all__ = ["Test", "Train"]

_NOMINAL = Scene(375, 500)  # the scene for `explain`: rules do not depend on the size
_EPOCHS = (0, *(1 << power for power in range(10)))  # the epochs for it: a schedule may begin or end with a step


class _Owner(Protocol):
    """What a side needs of its pipeline."""

    registry: Registry
    spec: Spec
    backend: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the spec."""

    def to_spec(self) -> dict[str, Any]:
        """The canonical spec."""


def _count(images: Any) -> int:
    """The number of images or samples of a batch. Raises ImageError if there are none."""
    if isinstance(images, Mapping) and "image" not in images:
        raise ImageError(
            f"a batch of samples needs images under 'image'; its keys are: {', '.join(map(repr, images))}"
        )
    given = images["image"] if isinstance(images, Mapping) else images
    if isinstance(given, str | bytes) or not hasattr(given, "__len__"):
        raise ImageError(f"a batch needs several images, got one {type(given).__name__}: give a stack or a list")
    count = len(given)
    if not count:
        raise ImageError("a batch needs at least one image")
    return count


def _listed(indices: Any) -> Sequence[int | str]:
    """Indices as a list, also those of a tensor or an array. Raises TypeError for what has no order, or is one."""
    found = indices.tolist() if hasattr(indices, "tolist") else indices
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise TypeError(f"indices is a list with the index of each image, got a {type(indices).__name__}")
    return found


def _rule_row(entry: Entry, indent: str = "") -> tuple[str, str, str]:
    return indent + "  " * entry.depth + entry.name, entry.rule, entry.exact


class _Side:
    """What train and test have in common: draw the ops for an image or a sample, merge them, and run or plan them."""

    _name: str

    def __init__(self, pipeline: _Owner, options: Options) -> None:
        self._pipeline = pipeline
        self._options = options

    def __reduce__(self) -> Any:
        return getattr, (self._pipeline, self._name)

    @functools.cached_property
    def engine(self) -> Backend:
        """The backend that runs the ops. Raises PluginError where a plugin's does not load."""
        name, registry = self._pipeline.backend, self._pipeline.registry
        source = registry.backends.get(name, "")
        if source:
            load(source)
        return backend(name, source)

    @functools.cached_property
    def named_views(self) -> tuple[NamedView, ...]:
        """The named views of the spec; none where it has no section `views`."""
        return expanded(self._pipeline.spec.views, stream_key)

    def _view_draws(self, address: Address | None) -> ViewDraws:
        from augreg.named_views.drawing import ViewDraws

        # the pixels are those of the whole image: decoding it anew for each view would take longer
        settings = msgspec.structs.replace(self._settings(address), decode="exact")
        return ViewDraws(self._pipeline.spec.image, self.named_views, settings)

    def _run(self, image: Any, address: Address | None) -> Any:
        if self.named_views:
            from augreg.named_views.running import run_views

            return run_views(image, self._view_draws(address))
        return run(image, lambda scene, alone: self._start(scene, address, alone), self._settings(address))

    def _settings(self, address: Address | None) -> RunSettings:
        options = self._options
        return RunSettings(
            self.engine,
            options.targets,
            options.channels,
            options.output,
            options.approximate,
            options.max_pixels,
            address,
            options.decode,
            options.layout,
        )

    def _start(self, scene: Scene, address: Address | None, alone: bool = False) -> tuple[Sequence[Op], Drawn]:
        """The ops to run on an image of this scene, without targets if it is `alone`, and the draw they come from."""
        options, drawn, engine = self._options, self._ops(scene, address), self.engine if alone else None
        return passes(drawn, scene, options.approximate, options.max_pixels, engine), drawn

    def _ops(self, scene: Scene, address: Address | None) -> Drawn:
        steps, cursor = self._pipeline.spec.image, self.engine.cursor
        return expect(steps, scene) if address is None else draw(steps, scene, address, open_cursor=cursor)

    def _batch(self, images: Any, addresses: Addresses | None, device: Any) -> Any:
        """The images or samples of a batch, each at its address, on a device."""
        if self.named_views:
            from augreg.devices import transformed_views

            return transformed_views(images, self._view_draws(None), addresses, device)
        from augreg.devices import transformed, transformed_samples

        draws = self.batch_draws(addresses)
        of_samples = isinstance(images, Mapping) or (
            isinstance(images, list | tuple) and images and isinstance(images[0], Mapping)
        )
        return (transformed_samples if of_samples else transformed)(images, draws, device)

    def batch_draws(self, addresses: Addresses | None) -> BatchDraws:
        """What is drawn for images at these addresses, for the functions of `augreg.devices`; None is test time."""
        from augreg.devices.draws import BatchDraws

        if self._options.targets.clip:
            raise ImageError("clips do not run as a batch on a device: give each to pipe.train or pipe.test")
        if self.named_views:
            raise ImageError("the views of a spec cannot be deferred: make them in the workers, with defer=False")
        settings = self._settings(None)
        if addresses is not None:
            settings = msgspec.structs.replace(settings, address=addresses.at(0) if len(addresses) else None)
        return BatchDraws(self._pipeline.spec.image, settings, addresses, self._run_as_tensor)

    def _run_as_tensor(self, image: Any, address: Address | None) -> Any:
        """One image after its run, as a tensor; a sample, whose image is a tensor, with what else it has as it is."""
        settings = self._settings(address)
        output = settings.output if isinstance(image, Mapping) and settings.output != "numpy" else "torch"
        settings = msgspec.structs.replace(settings, output=output, layout="chw")
        return run(image, lambda scene, alone: self._start(scene, address, alone), settings)

    def _plan(self, given: Any, address: Address | None, channels: int, dtype: Any, title: str) -> Plan:
        settings = self._settings(address)
        scene = planned_scene(given, channels, dtype, settings)
        if self.named_views:
            from augreg.named_views.plan import plan_views

            return cast(Plan, plan_views(self._view_draws(address), scene, title))
        ops, drawn = self._start(scene, address)
        return Plan(tuple(ops), scene, tuple(drawn.entries), title, settings, drawn.scene, tuple(drawn.deferred))


class Train(_Side):
    """Draws the random numbers: `train(image, index=7, epoch=2)` is the same image in every process and every run."""

    _name = "train"

    # The types of results are those for `output: auto`.
    @overload
    def __call__(
        self, image: Mapping[Any, Any], index: int | str | None = None, epoch: int = 0, view: int = 0
    ) -> dict[Any, Any]: ...
    @overload
    def __call__(
        self, image: Image, index: int | str | None = None, epoch: int = 0, view: int = 0
    ) -> Image | NDArray[Any]: ...
    @overload
    def __call__(
        self, image: Source, index: int | str | None = None, epoch: int = 0, view: int = 0
    ) -> NDArray[Any]: ...
    @overload
    def __call__(self, image: Tensor, index: int | str | None = None, epoch: int = 0, view: int = 0) -> Tensor: ...
    @explains("pipe.train(image)", misuse.OF_TRAIN)
    def __call__(self, image: Any, index: int | str | None = None, epoch: int = 0, view: int = 0) -> Any:
        """One augmented image, or one sample: a mapping with an image, and masks, boxes and keypoints that follow it.

        `image` is a PIL image, a height x width x channels array, a channels x height x width tensor, encoded bytes,
        an open file or a path, or a mapping with one of these under `image`; docs/targets.md lists the other keys.

        `index` identifies the sample: with it the draw is a function of (seed, epoch, index, view). Without it every
        call draws new numbers from the system's entropy, and `seed` has no effect.

        Returns a tensor for a tensor, a PIL image for a PIL image, and an array for everything else. Once a step
        normalizes, the result is float32 channels x height x width: a tensor for a tensor, an array for all others.
        `output: numpy` or `output: torch` in the spec overrides the kind, and with `layout: hwc` arrays stay height x
        width x channels. The same holds for each image of a sample; masks, boxes and keypoints keep their kind. With
        a section `views` the result is `NamedViews`, a dict of such results by name (docs/named-views.md). Raises
        ImageError.
        """
        return self._run(image, self._address(index, epoch, view))

    @explains("pipe.train.batch(images, indices)", misuse.OF_TRAIN_BATCH)
    @eager
    def batch(
        self,
        images: Any,
        indices: Sequence[int | str] | None = None,
        epoch: int = 0,
        view: int = 0,
        device: str | torch.device | None = None,
    ) -> Any:
        """The images of a batch on a device: each is `train(image, index, epoch, view)` with its own index.

        `images` is an N x channels x height x width tensor of any device, an N x height x width x channels array, or
        a list of whatever `train` takes: images of different sizes, encoded files, paths. Or it is a list of samples,
        or a mapping of them: `image`, and masks, boxes and keypoints, each with an entry for every image.

        `indices` has the index of each image, as `index` of `train`; without it all draws are new. The result is one
        tensor, N x channels x height x width, or a list if the images differ in shape; of samples, the same form as
        given; of a spec with views, one for each by name. It is on `device`; without one on that of a tensor, else on
        the CPU. Ops run for all images at once;
        docs/gpu.md says which have equal bytes on every device, and which run image by image on the CPU. Raises
        ImageError, and ValueError for a wrong number of indices.
        """
        count = _count(images)
        if indices is None:
            seed, indices = fresh_seed(), range(count)
        else:
            seed, indices = self._options.seed, _listed(indices)
        if len(indices) != count:
            raise ValueError(f"there are {len(indices)} indices for {count} images; give one for each")
        return self._batch(images, addresses_of(seed, indices, epoch, view), device)

    def plan(
        self,
        size: tuple[int, int] | Mapping[Any, Any] | Image | Source,
        index: int | str | None = None,
        epoch: int = 0,
        view: int = 0,
        channels: int = 3,
        dtype: str = "uint8",
    ) -> Plan:
        """The dry run: what would be done to an image of this (height, width). It prints, pickles, and has `run`.

        `size` may also be an image or a sample, whose channels and dtype count then; steps that see boxes, such as
        `safe_crop`, see those of the sample. The plan of a spec with views is a `ViewsPlan`, which has one for each,
        and says how they correspond. Raises ValueError for a size and ImageError for an image that is none.
        """
        address = self._address(index, epoch, view)
        drawn = "drawn afresh" if index is None else f"seed {address.seed}, epoch {epoch}, index {index!r}"
        return self._plan(size, address, channels, dtype, f"train, {drawn}")

    def _address(self, index: int | str | None, epoch: int, view: int) -> Address:
        seed, index = (fresh_seed(), 0) if index is None else (self._options.seed, index)
        return address_of(seed, index, epoch, view)


class Test(_Side):
    """The expectation over the random numbers, each step by its declared rule. Deterministic."""

    _name = "test"
    __test__ = False  # not a test case, despite its name

    @overload
    def __call__(self, image: Mapping[Any, Any]) -> dict[Any, Any]: ...
    @overload
    def __call__(self, image: Image) -> Image | NDArray[Any]: ...
    @overload
    def __call__(self, image: Source) -> NDArray[Any]: ...
    @overload
    def __call__(self, image: Tensor) -> Tensor: ...
    @explains("pipe.test(image)", misuse.OF_TEST)
    def __call__(self, image: Any) -> Any:
        """One test image, or sample; of a spec with views, one for each. It takes and returns what `train` does."""
        return self._run(image, None)

    @explains("pipe.test.batch(images)", misuse.OF_TEST_BATCH)
    @eager
    def batch(self, images: Any, *, device: str | torch.device | None = None) -> Any:
        """The test images of a batch on a device, each as `test` of it alone. It takes and returns what `train.batch`
        does.
        """
        _count(images)
        return self._batch(images, None, device)

    def plan(
        self,
        size: tuple[int, int] | Mapping[Any, Any] | Image | Source,
        channels: int = 3,
        dtype: str = "uint8",
    ) -> Plan:
        """What is done to an image of this (height, width), or to this image or sample."""
        return self._plan(size, None, channels, dtype, "test")

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the parts of the spec that test images depend on: image, model and options.

        The seed, the batch and loss sections and the number of classes are left out.
        """
        training_only = ("seed", "batch", "loss", "classes")
        data = {key: value for key, value in self._pipeline.to_spec().items() if key not in training_only}
        return fingerprint(data, added(self._pipeline.spec, self._pipeline.registry, ("image", "model")))

    def explain(self, batch: bool = False) -> str:
        """A table of the steps: the test-time rule of each, and the quantity whose exact expectation it gives.

        With `batch`, lines at the end say which steps `train.batch` and `test.batch` cannot run for all images at
        once, as found by drawing for 256 images of 375x500, in epochs from 0 to 512. That needs torch.
        """
        options = self._options
        rows = [("step", "test-time rule", "exact for")]
        rows += [_rule_row(entry) for entry in self._ops(_NOMINAL, None).entries]
        for group in self._pipeline.spec.views:
            rows.append((f"view {', '.join(group.names)}", "", ""))
            view = next(one for one in self.named_views if one.group is group)
            entries = self._view_draws(None).drawn(view, _NOMINAL).entries
            rows += [_rule_row(entry, "  ") for entry in entries if entry.path.startswith("views/")]
            if group.patches is not None:
                rows.append(("  patches", "nothing is masked", ""))
        for section in SECTIONS[1:]:
            rows += rule_rows(getattr(self._pipeline.spec, section), section)
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip() for row in rows]
        lines.append(f"backend {self._pipeline.backend}, output {options.output}")
        if options.decode == "scaled":
            lines.append("JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where the first steps shrink them")
        steps = self._pipeline.spec.image_steps
        lines += misuse.remarks(steps)
        if any(map(is_random, steps)) or any(group.patches for group in self._pipeline.spec.views):
            lines.append("train without an index draws new numbers at every call; `seed` has no effect there")
        else:
            lines.append("train draws no random numbers: an image is the same at every call with the same epoch")
        if batch and self.named_views:
            lines.append("which steps run for all images at once is not said of views: ask pipe.of_view(..)")
        elif batch:
            lines += self._batch_remarks()
        return "\n".join(lines)

    def _batch_remarks(self) -> list[str]:
        from augreg.devices import remarks

        steps, seed = self._pipeline.spec.image, self._options.seed
        drawn = []
        for index in range(256):
            epoch = _EPOCHS[index % len(_EPOCHS)]
            drawn.append(self._ops(msgspec.structs.replace(_NOMINAL, epoch=epoch), address_of(seed, index, epoch)))
        lines = remarks("train.batch", drawn, _NOMINAL, steps)
        lines += remarks("test.batch", [self._ops(_NOMINAL, None)], _NOMINAL)
        if self.engine.name not in ("pillow", "native"):
            lines.append(
                f"train.batch and test.batch have the pixel values of pillow, not those of {self.engine.name}"
            )
        return lines
