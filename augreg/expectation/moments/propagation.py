"""`propagate`: the moments of a model's outputs over its own noise, in one forward pass."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from augreg.attachment.attach import attachments
from augreg.expectation.moments import activation_rules, arithmetic_rules, noise_rules, pooling_rules  # noqa: F401
from augreg.expectation.moments.conditions import Condition, ImageFactors, combined, groups_of
from augreg.expectation.moments.forward import Forward, Settings, Step, has_normal, wide
from augreg.expectation.moments.noise_layers import layer_rule
from augreg.expectation.moments.normal import Normal, NormalTensor
from augreg.expectation.moments.result import Moments, MomentsReport
from augreg.expectation.moments.sampled import sampled
from augreg.expectation.noise.find_noise import NoiseReport, drawing, find_noise, kept
from augreg.expectation.noise.modes import called, named_modules
from augreg.expectation.noise.search import running_eagerly
from augreg.loss.penalties import unwrapped
from augreg.nn.stochastic_depth import StochasticDepth

__all__ = ["propagate"]


def propagate(
    model: nn.Module,
    inputs: Any,
    *,
    covariance: bool | Literal["auto"] = "auto",
    fourth_cumulant: bool = True,
    monte_carlo: str | Sequence[str] = (),
    input_variance: Tensor | float | None = None,
    only: str | Mapping[str, Any] | Sequence[Any] | None = None,
    noise: NoiseReport | None = None,
    select: Callable[[Any], Any] | None = None,
    samples: int = 256,
    seed: int = 0,
    memory: int = 1 << 28,
    conditions: int = 64,
) -> Moments:
    """Propagate mean and variance through a model, over the noise that it draws in training.

    Random numbers that scale a whole image, such as those of stochastic depth, are held at their values in turn, with
    a forward pass for each setting: what they leave is far from normal. Without them it is one pass.

    inputs: what the model takes: a tensor, a tuple of arguments, or a mapping of keyword arguments. The first
        dimension of all tensors is the batch.
    covariance: of all units of an image, batch x n x n. "auto" keeps it where a tensor's takes at most a quarter of
        `memory` (bytes), True everywhere, False nowhere: then units count as independent.
    fourth_cumulant: correct activations for the third and fourth cumulant of what they are applied to, by Edgeworth's
        series, since sums of few dropped terms are not normal.
    monte_carlo: name patterns of what is computed from `samples` samples, drawn from `seed`: of modules ("layer3.*"),
        or of functions without a rule in a module ("layer3.attention:softmax", "*:*" for all).
    input_variance: the variance of the inputs, if they are random themselves: a number, or a tensor like the input.
    only: which noise draws, as in `drawing`. noise: what `find_noise` found, if it was called before.
    conditions: the most forward passes for numbers that scale whole images. K such numbers take 2^K passes, or
        2 K + 1 if that is too many: then one varies at a time. Below 2 they are treated as other noise, in one pass.
    select: a function that takes the model's output and returns the tensor to describe, if it is not a tensor.

    Batch norm is in evaluation. The model, its modes, buffers and all generators are as before. Computes in float32,
    or float64 for a model in float64; gradients are not recorded.

    Raises NotImplementedError that lists all functions and layers without a rule.
    """
    patterns = (monte_carlo,) if isinstance(monte_carlo, str) else tuple(monte_carlo)
    if covariance not in (True, False, "auto"):
        raise ValueError(f'covariance must be True, False or "auto", got {covariance!r}')
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    inner = unwrapped(model)
    _check_patterns(inner, patterns)
    settings = Settings(covariance, fourth_cumulant, patterns, samples, seed, memory, conditions)
    report = find_noise(model, _first_image(inputs)) if noise is None else noise

    def run_once(factors: ImageFactors | None) -> tuple[Condition, Forward]:
        run = Forward(settings, sampled, image_factors=factors)
        varied = inputs if input_variance is None else tree_map(functools.partial(_varied, input_variance), inputs)
        with _through_modules(run, inner), run:
            output = _called(run, inner, varied)
        return _condition(output, run, select), run

    with (
        torch.no_grad(),
        kept(model),
        running_eagerly(),
        drawing(model, report, only=only),
        _without_autocast(),
    ):
        return _over_conditions(run_once, conditions)


def _over_conditions(run_once: Callable[[ImageFactors | None], tuple[Condition, Forward]], most: int) -> Moments:
    """The moments of one pass, or of several that hold the numbers by which whole images are multiplied."""
    factors = ImageFactors() if most > 1 else None
    center, run = run_once(factors)
    if factors is None or not factors.met:
        return Moments(center.mean, center.variance, center.covariance, MomentsReport(tuple(run.steps)))
    groups, conditions, how = groups_of(factors.met, most, center, lambda held: run_once(ImageFactors(held))[0])
    mean = center.mean
    found = combined(groups, conditions, mean.dim() > 1 and run.affords(len(mean), *[mean[0].numel()] * 2))
    report = MomentsReport((Step("", "conditions", how, False), *run.steps))
    return Moments(found.mean, found.variance, found.covariance, report, tuple(conditions))


def _called(run: Forward, model: nn.Module, inputs: Any) -> Any:
    try:
        return called(model, inputs)
    except Exception as error:
        if run.unknown:
            raise NotImplementedError(_message(run)) from error
        raise


def _message(run: Forward) -> str:
    listed = "\n".join(f"  {each}" for each in run.unknown)
    example = next(iter(run.unknown))
    return (
        f"there are no moments for\n{listed}\nChoose Monte Carlo for them: monte_carlo="
        f'"{example.name}:{example.function}" for a function, "*:*" for all of them, or the name of a module'
    )


def _condition(output: Any, run: Forward, select: Callable[[Any], Any] | None) -> Condition:
    """The moments of what a model returned."""
    if run.unknown:
        raise NotImplementedError(_message(run))
    output = output if select is None else select(output)
    if not isinstance(output, Tensor):
        raise TypeError(f"the model returns a {type(output).__name__}, not a tensor: give select=, a function")
    if isinstance(output, NormalTensor):
        normal = output.normal
        covariance = run.full_covariance(normal) if normal.independent else normal.covariance
        return Condition(1.0, normal.mean, normal.variance, covariance)
    return Condition(1.0, wide(output), torch.zeros_like(wide(output)), None)


def _check_patterns(model: nn.Module, patterns: Iterable[str]) -> None:
    names = [*named_modules(model)]
    for pattern in patterns:
        module = pattern.rpartition(":")[0] if ":" in pattern else pattern
        if not any(fnmatch.fnmatchcase(name, module) for name in names):
            raise ValueError(f"monte_carlo={pattern!r} matches no module of the model")


def _first_image(inputs: Any) -> Any:
    return tree_map(lambda value: value[:1] if isinstance(value, Tensor) and value.dim() else value, inputs)


def _varied(variance: Any, value: Any) -> Any:
    """The input as a random tensor."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    mean = wide(value).clone()
    spread = torch.as_tensor(variance).to(mean).expand_as(mean).contiguous()
    return NormalTensor.of(Normal(mean, spread, independent=True, noise=frozenset({(-1, "the inputs")})))


@contextlib.contextmanager
def _without_autocast() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextlib.contextmanager
def _through_modules(run: Forward, model: nn.Module) -> Iterator[None]:
    """A context in which modules tell the run where it is, and those that draw are replaced by their rules."""
    modules = {id(module): (name, module) for name, module in named_modules(model).items()}
    for layer in _attached_layers(model):
        modules.setdefault(id(layer), ("", layer))
    own: list[tuple[nn.Module, str, Any]] = []
    try:
        for name, module in modules.values():
            own.append((module, "forward", vars(module).get("forward")))
            module.__dict__["forward"] = functools.partial(_forward, run, name, module, module.forward)
            if isinstance(module, StochasticDepth):
                own.append((module, "residual", vars(module).get("residual")))
                module.__dict__["residual"] = functools.partial(_residual, module)
        yield
    finally:
        for module, attribute, value in own:
            vars(module).pop(attribute, None)
            if value is not None:
                module.__dict__[attribute] = value


def _attached_layers(model: nn.Module) -> Iterator[nn.Module]:
    """The layers that hooks of attached regularizers call, which are no modules of the model."""
    for attached in attachments(model):
        for _, site in attached._sites:
            for target, _ in site.targets:
                if isinstance(target, nn.Module):
                    yield from target.modules()


def _residual(layer: nn.Module, shortcut: Any, branch: Callable[..., Any], *inputs: Any) -> Any:
    """The sum with the branch computed for all rows."""
    return shortcut + layer(branch(*inputs))


def _forward(
    run: Forward, name: str, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    name = name or run.names[-1]  # an attached layer belongs to the module that calls it
    run.names.append(name)
    try:
        if run.plain:
            return forward(*args, **kwargs)
        if run.samples_module(name) and has_normal((args, kwargs)):
            return sampled(run, type(module).__name__, forward, args, kwargs)
        rule = layer_rule(module) if module.training else None
        if rule is None:
            return forward(*args, **kwargs)
        (x,) = args
        result = rule(run, module, x.normal if isinstance(x, NormalTensor) else x)
        return NormalTensor.of(result) if isinstance(result, Normal) else result
    finally:
        run.names.pop()
