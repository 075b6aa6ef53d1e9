"""Pipeline: a spec, and the two things made of it: `train`, which draws the noise, and `test`, its expectation."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from augreg.backends import choose
from augreg.errors import SpecError
from augreg.named_views.declared import with_paths
from augreg.registry.registry import Registry
from augreg.rng import stream_key
from augreg.sides import Test, Train
from augreg.spec import misuse
from augreg.spec.jsonargparse_type import register
from augreg.spec.objects import without_objects
from augreg.spec.one_view import OfOneView
from augreg.spec.options import SECTIONS, Options, Spec
from augreg.spec.overview import overview
from augreg.spec.parse import parse
from augreg.spec.removal import LeavesOut
from augreg.spec.write import added, classes, fingerprint, unparse
from augreg.steps.calls import explains
from augreg.steps.step import Step, assign_paths, children
from augreg.views.of_pipeline import MakesViews

if TYPE_CHECKING:
    from torch import nn

    from augreg.attachment.attach import Attachment
    from augreg.batch.collate import Collate
    from augreg.batch.mixer import Mixer
    from augreg.loss.criterion import Criterion

__all__ = ["Pipeline", "regularize"]


class Pipeline(LeavesOut, MakesViews, OfOneView, misuse.SaysWhatToUse):
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
        """The steps of each section and the options of a spec by name, `views` with them.

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
        sections = {name: assign_paths(getattr(spec, name), stream_key) for name in SECTIONS}
        placed = Spec(spec.options, **sections, views=with_paths(spec.views, stream_key))
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
        last = options.layout == "hwc"
        return Mixer(
            self.spec.batch, seed=seed, classes=classes, normalized=normalized, targets=targets, channels_last=last
        )

    @functools.cached_property
    def channels_first(self) -> Pipeline:
        """The pipeline with normalized arrays as models take them, which the option `layout` may say otherwise."""
        return self if self.options.layout == "chw" else self.replace(layout="chw")

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
        names = [step.name for name in SECTIONS for step in getattr(self.spec, name)]
        shown = ", ".join([*names, *(f"view {view.name}" for view in self.train.named_views)])
        return f"Pipeline({shown}; seed {self.options.seed}, {self.backend})"

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
