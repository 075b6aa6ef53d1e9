"""Pipeline: a spec, and the two things made of it: `train`, which draws the noise, and `test`, its expectation."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from augreg.backends import Backend, backend, choose
from augreg.errors import SpecError
from augreg.execution.passes import passes
from augreg.execution.plan import Plan, planned_scene
from augreg.execution.run import RunSettings
from augreg.execution.samples import run
from augreg.execution.sampling import Drawn, draw, expect
from augreg.ops import Op, Scene
from augreg.registry.discovery import load
from augreg.registry.registry import Registry
from augreg.rng import Address, address_of, fresh_seed, stream_key
from augreg.spec import misuse
from augreg.spec.jsonargparse_type import register
from augreg.spec.objects import without_objects
from augreg.spec.options import SECTIONS, Options, Spec
from augreg.spec.overview import overview, rule_rows
from augreg.spec.parse import parse
from augreg.spec.removal import LeavesOut
from augreg.spec.write import added, classes, fingerprint, unparse
from augreg.steps.calls import explains
from augreg.steps.rules import is_random
from augreg.steps.step import Step, assign_paths, children
from augreg.views.of_pipeline import MakesViews

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor, nn

    from augreg.attachment.attach import Attachment
    from augreg.batch.collate import Collate
    from augreg.batch.mixer import Mixer
    from augreg.execution.plan import Source
    from augreg.loss.criterion import Criterion

__all__ = ["Pipeline", "Test", "Train", "regularize"]

_NOMINAL = Scene(375, 500)  # the scene for `explain`: rules do not depend on the size


class Pipeline(LeavesOut, MakesViews, misuse.SaysWhatToUse):
    """Train and test pipelines from one spec. Immutable; equal if their specs and classes are; pickled as the spec.

    Make one with `from_spec`, or from steps: `Pipeline([Rotate(10), "horizontal_flip"], batch=["mixup"], seed=1)`.
    `train` and `test` transform images, `batch` mixes the images of a batch, `collate` is for a DataLoader,
    `regularize` attaches regularizers to a model, and `criterion` makes the loss.
    """

    registry: Registry
    spec: Spec
    backend: str
    train: Train
    test: Test

    def __init__(
        self,
        steps: Iterable[object] = (),
        registry: Registry | None = None,
        *,
        batch: Iterable[object] = (),
        model: Iterable[object] = (),
        loss: Iterable[object] = (),
        **options: object,
    ) -> None:
        """The steps of each section and the options of a spec by name.

        A step is a name, a mapping of one name to its arguments, a transform, or a `Step`. A class that the registry
        does not have is added to it. Raises SpecError if its name belongs to another class, or if a step is wrong.
        """
        if isinstance(steps, str | Path | Mapping):
            raise SpecError(f"expected a list of steps, got {steps!r}; presets, files and specs go to from_spec")
        if "image" in options and steps:
            raise SpecError("image: its steps are the first argument already; leave image= out")
        sections = dict(zip(SECTIONS, (steps, batch, model, loss), strict=True))
        for name, given in sections.items():
            if not isinstance(given, str | Mapping):
                with contextlib.suppress(Exception):  # parse reports it
                    sections[name] = list(given)
        self._set(sections, registry, options)

    @classmethod
    def from_spec(cls, spec: object, registry: Registry | None = None, **options: object) -> Self:
        """The pipeline that a spec describes: a mapping, a list of image steps, a preset's name, or the path of a
        .yaml, .json or .toml file; `options` override its own. Raises SpecError with all errors of the spec.
        """
        self = cls.__new__(cls)
        self._set(spec, registry, options)
        return self

    def replace(self, **changes: object) -> Self:
        """The pipeline with other options or sections: `pipe.replace(seed=3, backend="pillow", batch=["mixup"])`."""
        return type(self).from_spec(self.to_spec(), self.registry, **changes)

    def _set(self, source: Any, registry: Registry | None, changes: dict[str, object]) -> None:
        if registry is None:
            registry = Registry.installed()
        elif not isinstance(registry, Registry):
            names = "batch=[..], model=[..], loss=[..]"
            raise TypeError(f"expected a Registry, got {registry!r}; give other sections by name: {names}")
        changes, registry = without_objects(changes, registry)
        source, registry = without_objects(source, registry)
        spec = parse(source, registry, changes)
        placed = Spec(spec.options, *(assign_paths(getattr(spec, name), stream_key) for name in SECTIONS))
        vars(self).update(
            registry=registry,
            spec=placed,
            backend=choose(spec.options.backend, registry.backends),
            train=Train(self, spec.options),
            test=Test(self, spec.options),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the image section."""
        return self.spec.image

    @property
    def options(self) -> Options:
        """The options of the spec."""
        return self.spec.options

    @functools.cached_property
    def batch(self) -> Mixer:
        """Mixes the images and labels of a batch: `images, labels = pipe.batch(images, labels, keys=..)`."""
        from augreg.batch.mixer import Mixer

        options, normalized = self.options, _normalizes(self.spec.image)
        seed, classes, targets = options.seed, options.classes, options.targets
        return Mixer(self.spec.batch, seed=seed, classes=classes, normalized=normalized, targets=targets)

    @functools.cached_property
    def collate(self) -> Collate:
        """For `DataLoader(.., collate_fn=pipe.collate)`: stacks samples, and mixes the batch by the samples' keys."""
        from augreg.batch.collate import Collate

        return Collate(self.batch, self.options.output)

    def regularize(self, model: nn.Module) -> Attachment:
        """Attach the model section to a torch module; see `augreg.regularize`."""
        from augreg.attachment.attach import attach

        return attach(model, self.spec.model, self.spec.loss)

    @explains("pipe.criterion()", misuse.OF_CRITERION)
    def criterion(self, **arguments: Any) -> Criterion:
        """The loss section as a torch module: cross-entropy for hard or soft labels, with smoothing and penalties.

        The arguments are those of `augreg.loss.Criterion`, such as `weight` and `reduction`.
        """
        from augreg.loss.criterion import Criterion

        return Criterion(self.spec.loss, **{"classes": self.options.classes, **arguments})

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a pipeline is frozen, so {name!r} cannot be set: use pipe.replace({name}=..)")

    def to_spec(self) -> dict[str, Any]:
        """The canonical spec as plain data, every default written out; `from_spec` of it is this pipeline."""
        return unparse(self.spec)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the canonical spec, and of the modules and names of the classes that you added yourself."""
        return fingerprint(self.to_spec(), added(self.spec, self.registry))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pipeline):
            return NotImplemented
        return self.to_spec() == other.to_spec() and classes(self.spec) == classes(other.spec)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> Any:
        return _unpickle, (self.to_spec(), self.registry.added, self.registry.allowed)

    def __repr__(self) -> str:
        names = ", ".join(step.name for name in SECTIONS for step in getattr(self.spec, name))
        return f"Pipeline({names}; seed {self.options.seed}, {self.backend})"

    def _repr_html_(self) -> str:
        return overview(self.spec, f"Pipeline, backend {self.backend}", self.fingerprint)


register(Pipeline)


def regularize(model: nn.Module, spec: object, registry: Registry | None = None) -> Attachment:
    """Attach regularizers to a model.

    `spec` is a pipeline, a whole spec, a list of steps of a model section, or one regularizer. The model section is
    attached; `constrain` applies the loss section. Numbers with a schedule start with their values in epoch 0. Call
    this before torch.compile. Raises SpecError with every problem: a pattern that matches no module, a module that
    cannot take a regularizer, or that already has it. Then nothing is attached.
    """
    misuse.check_order(model, spec)
    if isinstance(spec, Mapping | str | Path):
        spec = Pipeline.from_spec(spec, registry)
    elif not isinstance(spec, Pipeline):
        steps = spec if isinstance(spec, Iterable) else [spec]
        spec = Pipeline((), registry, model=steps)
    return spec.regularize(model)


def _normalizes(steps: Iterable[Step]) -> bool:
    transforms = [step.transform for step in steps]
    return any(one.__augreg__.kind == "normalize" or _normalizes(children(one)) for one in transforms)


def _unpickle(spec: dict[str, Any], added: dict[str, type], allowed: frozenset[str]) -> Pipeline:
    registry = Registry.installed()
    if allowed:
        registry = registry.allow(*allowed)
    for name, cls in added.items():
        if name not in registry:
            registry = registry.add(cls, name)
    return Pipeline.from_spec(spec, registry)


class _Side:
    """What train and test have in common: draw the ops for an image or a sample, merge them, and run or plan them."""

    _name: str

    def __init__(self, pipeline: Pipeline, options: Options) -> None:
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

    def _run(self, image: Any, address: Address | None) -> Any:
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
        )

    def _start(self, scene: Scene, address: Address | None, alone: bool = False) -> tuple[Sequence[Op], Drawn]:
        """The ops to run on an image of this scene, without targets if it is `alone`, and the draw they come from."""
        options, drawn, engine = self._options, self._ops(scene, address), self.engine if alone else None
        return passes(drawn, scene, options.approximate, options.max_pixels, engine), drawn

    def _ops(self, scene: Scene, address: Address | None) -> Drawn:
        steps, cursor = self._pipeline.spec.image, self.engine.cursor
        return expect(steps, scene) if address is None else draw(steps, scene, address, open_cursor=cursor)

    def _plan(self, given: Any, address: Address | None, channels: int, dtype: Any, title: str) -> Plan:
        settings = self._settings(address)
        scene = planned_scene(given, channels, dtype, settings)
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
        `output: numpy` or `output: torch` in the spec overrides the kind. The same holds for each image of a sample;
        masks, boxes and keypoints keep their kind. Raises ImageError.
        """
        return self._run(image, self._address(index, epoch, view))

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
        `safe_crop`, see those of the sample. Raises ValueError for a size and ImageError for an image that is none.
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
        """One test image, or sample. It takes and returns the same kinds as `train`."""
        return self._run(image, None)

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

    def explain(self) -> str:
        """A table of the steps: the test-time rule of each, and the quantity whose exact expectation it gives."""
        options = self._options
        rows = [("step", "test-time rule", "exact for")]
        for entry in self._ops(_NOMINAL, None).entries:
            rows.append(("  " * entry.depth + entry.name, entry.rule, entry.exact))
        for section in SECTIONS[1:]:
            rows += rule_rows(getattr(self._pipeline.spec, section), section)
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip() for row in rows]
        lines.append(f"backend {self._pipeline.backend}, output {options.output}")
        if options.decode == "scaled":
            lines.append("JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where the first steps shrink them")
        lines += misuse.remarks(self._pipeline.steps)
        if any(map(is_random, self._pipeline.steps)):
            lines.append("train without an index draws new numbers at every call; `seed` has no effect there")
        else:
            lines.append("train draws no random numbers: an image is the same at every call with the same epoch")
        return "\n".join(lines)
