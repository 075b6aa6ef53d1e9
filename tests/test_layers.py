"""Layers: inputs and errors, gradients, dtypes, seeds, compiling, checkpointing, copies."""

from __future__ import annotations

import copy
import io
import itertools
from collections.abc import Callable, Iterable, Iterator

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import augreg.nn  # noqa: E402
from augreg.nn import (  # noqa: E402
    AlphaDropout,
    DropBlock1d,
    DropBlock2d,
    DropBlock3d,
    DropConnectConv1d,
    DropConnectConv2d,
    DropConnectConv3d,
    DropConnectLinear,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    GaussianDropout,
    GaussianNoise,
    ShakeDrop,
    ShakeShake,
    SpatialDropout,
    StochasticDepth,
    relu_moments,
)
from augreg.nn.drop_block import MapDropBlock  # noqa: E402
from augreg.nn.drop_connect import drop_connect_class  # noqa: E402

# torch's own compiler makes an object of an autograd function
COMPILING = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

MAPS = (4, 6, 5, 5)
LAYERS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...], str]] = {
    # seed -> the layer, the shape of an input, the name of its rate
    "dropout": (lambda seed: Dropout(0.5, seed=seed), MAPS, "p"),
    "original": (lambda seed: Dropout(0.5, "original", seed=seed), MAPS, "p"),
    "spatial": (lambda seed: SpatialDropout(0.5, seed=seed), MAPS, "p"),
    "dropout1d": (lambda seed: Dropout1d(0.5, seed=seed), (4, 6, 5), "p"),
    "dropout2d": (lambda seed: Dropout2d(0.5, seed=seed), MAPS, "p"),
    "dropout3d": (lambda seed: Dropout3d(0.5, seed=seed), (4, 6, 2, 3, 3), "p"),
    "alpha": (lambda seed: AlphaDropout(0.5, seed=seed), MAPS, "p"),
    "gaussian": (lambda seed: GaussianDropout(0.5, seed=seed), MAPS, "p"),
    "noise": (lambda seed: GaussianNoise(0.5, seed=seed), MAPS, "std"),
    "block1d": (lambda seed: DropBlock1d(0.5, 2, seed=seed), (4, 6, 5), "p"),
    "block2d": (lambda seed: DropBlock2d(0.5, 2, seed=seed), MAPS, "p"),
    "block3d": (lambda seed: DropBlock3d(0.5, 2, seed=seed), (4, 6, 2, 3, 3), "p"),
    "block any": (lambda seed: MapDropBlock(0.5, 2, seed=seed), MAPS, "p"),
    "row": (lambda seed: StochasticDepth(0.5, seed=seed), MAPS, "survival"),
    "batch": (lambda seed: StochasticDepth(0.5, "batch", seed=seed), MAPS, "survival"),
    "shake": (lambda seed: ShakeDrop(0.5, seed=seed), MAPS, "survival"),
    "linear": (lambda seed: DropConnectLinear(5, 3, seed=seed, mask_bias=True), MAPS, "p"),
    "linear per batch": (lambda seed: DropConnectLinear(5, 3, per="batch", seed=seed), MAPS, "p"),
    "conv1d": (lambda seed: DropConnectConv1d(6, 4, 3, seed=seed, padding="same"), (4, 6, 5), "p"),
    "conv2d": (lambda seed: DropConnectConv2d(6, 4, 3, seed=seed, groups=2, mask_bias=True), MAPS, "p"),
    "conv2d per batch": (lambda seed: DropConnectConv2d(6, 4, 3, seed=seed, per="batch"), MAPS, "p"),
    "conv3d": (lambda seed: DropConnectConv3d(6, 4, 2, seed=seed), (4, 6, 2, 3, 3), "p"),
}
IDENTITY = set(LAYERS) - {"original", "shake"}  # testing gives the plain layer's output
DROPPING = ["dropout", "original", "spatial", "dropout2d", "block2d", "block any", "row", "batch"]


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(20260102)
    yield
    torch.set_num_threads(threads)


def made(name: str, seed: int | None = None) -> tuple[nn.Module, Tensor]:
    make, shape, _ = LAYERS[name]
    return make(seed), torch.randn(shape)


def plain(layer: nn.Module, x: Tensor) -> Tensor:
    """What the model without the regularizer gives."""
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return x
    return next(base for base in type(layer).__mro__ if base.__module__.startswith("torch.nn")).forward(layer, x)


@pytest.mark.parametrize("name", LAYERS)
def test_testing_is_the_plain_layer_bit_for_bit_where_the_rule_is_identity(name: str) -> None:
    layer, x = made(name)
    y = layer.eval()(x)
    assert torch.equal(y, plain(layer, x)) is (name in IDENTITY)
    if not list(layer.parameters()) and name in IDENTITY:
        assert y is x


@pytest.mark.parametrize("name", LAYERS)
def test_a_rate_that_drops_nothing_is_the_plain_layer_in_training(name: str) -> None:
    layer, x = made(name)
    assert not torch.equal(layer(x), plain(layer, x))
    rate = LAYERS[name][2]
    setattr(layer, rate, 1.0 if rate == "survival" else 0.0)
    assert torch.equal(layer(x), plain(layer, x))
    assert torch.equal(layer.eval()(x), plain(layer, x))


@pytest.mark.parametrize("name", [*DROPPING, "alpha"])
@pytest.mark.parametrize("training", [True, False])
def test_a_rate_that_drops_everything_gives_zeros_and_gradients_of_zero(name: str, training: bool) -> None:
    layer, x = made(name)
    rate = LAYERS[name][2]
    setattr(layer, rate, 0.0 if rate == "survival" else 1.0)
    layer.train(training)
    if not training and name in IDENTITY:
        assert layer(x) is x
        return
    x = torch.full_like(x, torch.inf).requires_grad_()
    y = layer(x)
    y.sum().backward()
    assert (y == 0).all() and (x.grad == 0).all()


def test_drop_connect_with_p_1_leaves_the_bias() -> None:
    layer = DropConnectLinear(5, 3, p=1.0)
    x = torch.randn(2, 5)
    assert torch.equal(layer(x), layer.bias.expand(2, 3))
    layer.mask_bias = True
    assert (layer(x) == 0).all()
    layer.mode = "original"
    assert (layer.eval()(x) == 0).all()


@pytest.mark.parametrize("name", DROPPING)
@pytest.mark.parametrize("hidden", [torch.inf, -torch.inf, torch.nan])
def test_what_is_dropped_is_gone_even_an_infinity_and_in_the_gradient(name: str, hidden: float) -> None:
    layer, x = made(name, seed=10)  # the first call of which drops the batch
    dropped = copy.deepcopy(layer)(torch.ones_like(x)) == 0
    assert dropped.any() and (name == "batch" or not dropped.all())
    x = torch.where(dropped, hidden, x).requires_grad_()
    y = layer(x)
    assert (y[dropped] == 0).all() and y.isfinite().all()
    # an infinite gradient of what was dropped is dropped as well
    y.backward(torch.where(dropped, hidden, torch.ones_like(y)))
    assert (x.grad[dropped] == 0).all() and x.grad.isfinite().all()
    if not dropped.all():
        assert (x.grad[~dropped] > 0).all()


def test_a_dropped_weight_is_gone_even_an_infinity() -> None:
    layer = DropConnectLinear(4, 4, bias=False, per="batch", seed=1)
    nn.init.ones_(layer.weight)
    kept = copy.deepcopy(layer)(torch.eye(4)).T > 0
    assert kept.any() and not kept.all()
    with torch.no_grad():
        layer.weight[~kept] = torch.inf
    y = layer(torch.ones(1, 4))
    y.sum().backward()
    assert y.isfinite().all() and (layer.weight.grad[~kept] == 0).all() and (layer.weight.grad[kept] == 2).all()


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "shake"])  # whose gradient is another on purpose
def test_gradients_use_the_mask_of_the_output(name: str) -> None:
    layer, x = made(name, seed=7)
    layer = layer.double()
    x = x[:2].double().requires_grad_()
    names = [key for key, _ in layer.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(copy.deepcopy(layer), dict(zip(names, parameters, strict=True)), x)

    inputs = (x, *(parameter.detach().requires_grad_() for parameter in layer.parameters()))
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_moment_matching_has_gradients_where_the_variance_is_zero() -> None:
    mean = torch.tensor([-1.0, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    variance = torch.tensor([0.5, 0.2, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(relu_moments, (mean, variance))
    zero = torch.zeros(3, requires_grad=True)
    mean = torch.tensor([-1.0, 0.0, 100.0], requires_grad=True)
    relu_moments(mean, zero)[0].sum().backward()
    assert zero.grad.isfinite().all() and torch.allclose(mean.grad, torch.tensor([0.0, 0.5, 1.0]))


def test_shake_drop_scales_gradients_by_numbers_of_their_own() -> None:
    layer = ShakeDrop(0.5, per="element")
    x = torch.ones(5000, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    kept = (y == 1) & (x.grad == 1)
    assert 0.4 < kept.float().mean() < 0.6
    shaken, gradient = y[~kept], x.grad[~kept]
    assert (shaken.abs() <= 1).all() and shaken.min() < -0.9 and shaken.max() > 0.9
    assert (gradient >= 0).all() and (gradient < 1).all() and gradient.max() > 0.9
    assert abs(torch.corrcoef(torch.stack([shaken, gradient]))[0, 1]) < 0.1
    first, second = (torch.ones(2000, 2, requires_grad=True) for _ in range(2))
    mixed = ShakeShake()(first, second * 2)
    mixed.sum().backward()
    assert (mixed[:, 0] == mixed[:, 1]).all() and mixed.min() >= 1 and mixed.max() <= 2
    assert torch.allclose(first.grad + second.grad / 2, torch.ones(2000, 2))
    assert not torch.allclose(mixed, 2 - first.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_the_dtype_stays(name: str, training: bool, dtype: torch.dtype) -> None:
    layer, x = made(name)
    layer = layer.to(dtype).train(training)
    x = x.to(dtype).requires_grad_()
    y = layer(x)
    y.float().sum().backward()
    assert y.dtype == dtype and y.isfinite().all() and x.grad.dtype == dtype


@pytest.mark.parametrize("inference", ["scale", "moment"])
def test_layers_work_under_autocast_and_moments_stay_precise(inference: str) -> None:
    for layer, x in (
        (DropConnectLinear(5, 3, inference=inference), torch.randn(4, 5)),
        (DropConnectConv2d(2, 3, 3, inference=inference), torch.randn(4, 2, 5, 5)),
    ):
        want = layer.eval()(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer.train()(x).dtype == torch.bfloat16
            y = layer.eval()(x)
        assert y.dtype == torch.bfloat16  # as in training, and as torch's own layer
        assert (
            torch.equal(y, want.bfloat16()) if inference == "moment" else torch.allclose(y.float(), want, atol=0.05)
        )
    large = torch.full((1, 5), 300.0, dtype=torch.float16)
    layer = DropConnectLinear(5, 3, inference="moment").half().eval()
    assert layer(large).isfinite().all()  # 300^2 is beyond float16
    with torch.autocast("cpu", torch.bfloat16):
        assert Dropout()(torch.ones(3)).dtype == torch.float32
        assert Dropout()(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["dropout", "original", "spatial", "alpha", "gaussian", "block2d", "row", "shake"])
@pytest.mark.parametrize("training", [True, False])
def test_the_memory_format_stays(name: str, training: bool) -> None:
    layer, x = made(name, seed=3)
    twin = copy.deepcopy(layer).train(training)
    y = layer.train(training)(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, twin(x))  # and the mask is the same


def test_shake_drop_goes_through_vmap() -> None:
    layer, x = ShakeDrop(0.0, per="element", alpha=(0.5, 0.5), beta=(0.25, 0.25)), torch.randn(4, 3)
    assert torch.equal(torch.func.vmap(layer, randomness="different")(x), x / 2)
    gradient = torch.func.vmap(torch.func.grad(lambda row: layer(row).sum()), randomness="different")(x)
    assert torch.equal(gradient, torch.full((4, 3), 0.25))


@pytest.mark.parametrize("name", LAYERS)
def test_a_seed_decides_the_masks_and_each_call_has_its_own(name: str) -> None:
    (layer, x), (same, _), (other, _) = made(name, seed=3), made(name, seed=3), made(name, seed=4)
    for twin in (same, other):
        twin.load_state_dict(layer.state_dict())
    ours = [layer(x) for _ in range(8)]
    torch.manual_seed(99)
    assert all(torch.equal(y, same(x)) for y in ours)  # whatever torch's generator does
    assert not all(torch.equal(y, other(x)) for y in ours)
    assert any(not torch.equal(a, b) for a, b in itertools.pairwise(ours))


@pytest.mark.parametrize("name", LAYERS)
def test_without_a_seed_torchs_generator_decides(name: str) -> None:
    layer, x = made(name)
    torch.manual_seed(5)
    ours = [layer(x) for _ in range(8)]
    torch.manual_seed(5)
    assert all(torch.equal(y, layer(x)) for y in ours)
    assert any(not torch.equal(a, b) for a, b in itertools.pairwise(ours))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("seed", [None, 3])
def test_layers_have_no_state_of_their_own_and_can_be_copied_and_pickled(name: str, seed: int | None) -> None:
    layer, x = made(name, seed=seed)
    layer(x)
    assert set(layer.state_dict()) <= {"weight", "bias"} and not list(layer.buffers())
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for twin in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        torch.manual_seed(1)
        a = twin(x)
        b = twin(x)
        torch.manual_seed(1)
        original = copy.deepcopy(layer)  # which continues from the same call
        assert torch.equal(original(x), a) and torch.equal(original(x), b)
    assert LAYERS[name][2] + "=0.5" in repr(layer)


class Checkpointed(nn.Module):
    """Two passes through one body that calls its layer twice, with or without checkpointing."""

    def __init__(self, layer: nn.Module, reentrant: bool | None) -> None:
        super().__init__()
        self.first, self.second, self.layer, self.reentrant = nn.Linear(6, 6), nn.Linear(6, 6), layer, reentrant

    def body(self, x: Tensor) -> Tensor:
        return self.second(self.layer(self.layer(self.first(x).sin())).sin()).cos()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self.body(x) if self.reentrant is None else checkpoint(self.body, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize(
    "make",
    [
        lambda seed: Dropout(0.5, seed=seed),
        lambda seed: GaussianNoise(0.5, seed=seed),
        lambda seed: StochasticDepth(0.5, "batch", seed=seed),
        lambda seed: ShakeDrop(0.5, seed=seed),
        lambda seed: DropConnectLinear(6, 6, mask_bias=True, seed=seed),
    ],
)
def test_checkpointing_gives_the_plain_gradients_bit_for_bit(
    make: Callable[..., nn.Module], seed: int | None
) -> None:
    found = []
    for reentrant in (None, True, False):
        torch.manual_seed(0)
        model = Checkpointed(make(seed), reentrant)
        x = torch.randn(3, 6, requires_grad=True)
        torch.manual_seed(1)
        outputs = [model(x), model(x + 1), model(x)]  # all of them before the first goes backward
        found.append([])
        for y in outputs:
            model.zero_grad()
            x.grad = None
            y.square().sum().backward()
            found[-1] += [y, x.grad, *(p.grad for p in model.parameters())]
    plainly, reentrantly, checkpointed = found
    assert all(torch.equal(a, b) for a, b in zip(plainly, checkpointed, strict=True))
    # the reentrant kind adds up the gradients of a weight that is used four times in another order
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(plainly, reentrantly, strict=True))


class SideBySide(nn.Module):
    """Some of the layers, each on its own input."""

    def __init__(self, names: Iterable[str], seed: int | None) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: made(name, seed)[0] for name in names})
        self.inputs = {name: torch.randn(LAYERS[name][1]).requires_grad_() for name in names}

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: layer(inputs[name]) for name, layer in self.layers.items()}

    def rate(self, rate: float) -> None:
        for name, layer in self.layers.items():
            setattr(layer, LAYERS[name][2], rate)


COMPILED = ["dropout", "original", "spatial", "dropout2d", "alpha", "gaussian", "noise", "block2d", "row", "batch"]
COMPILED += ["shake", "linear", "linear per batch", "conv2d", "conv2d per batch"]  # the others run the same code


@COMPILING
def test_layers_compile_whole_and_draw_afresh_at_each_call() -> None:
    torch._dynamo.reset()
    model = SideBySide(COMPILED, seed=None)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    calls = [compiled(model.inputs) for _ in range(12)]
    for name in COMPILED:
        assert any(not torch.equal(a[name], b[name]) for a, b in itertools.pairwise(calls)), name
    model.eval()
    for name, y in compiled(model.inputs).items():
        assert torch.equal(y, model.layers[name](model.inputs[name])), name


@COMPILING
def test_alpha_dropout_compiles_for_any_shape() -> None:
    torch._dynamo.reset()
    layer, x = AlphaDropout(seed=3), torch.randn(4, 3)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, dynamic=True, backend="eager")
    assert torch.allclose(compiled(x), layer(x))


@COMPILING
@pytest.mark.parametrize("name", ["block2d", "shake", "linear"])
def test_compiled_masks_and_gradients_are_those_of_plain_calls_and_rates_move(name: str) -> None:
    torch._dynamo.reset()
    eager = SideBySide([name], seed=3)
    model = copy.deepcopy(eager)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager" if name == "linear" else "eager")
    x = eager.inputs[name]
    for rate in (0.5, 0.3, 0.4):
        eager.rate(rate)
        model.rate(rate)
        want, got = eager({name: x})[name], compiled({name: x})[name]
        assert torch.allclose(want, got, rtol=1e-5, atol=1e-6), rate
        gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (want, got)]
        assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5), rate


# torch's compiler looks at the gradient of a tensor that has none
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiling_and_checkpointing_go_together() -> None:
    for seed, inside in ((None, False), (None, True), (5, False)):
        torch._dynamo.reset()
        torch.manual_seed(0)
        model = Checkpointed(Dropout(0.5, seed=seed), False if inside else None)
        if inside:
            run = torch.compile(model, fullgraph=True, backend="aot_eager")
        else:
            body = torch.compile(model.body, fullgraph=True, backend="eager")

            def run(x: Tensor, body: Callable[[Tensor], Tensor] = body) -> Tensor:
                return checkpoint(body, checkpoint(body, x, use_reentrant=False), use_reentrant=False)

        x = torch.randn(3, 6)
        plain_model = copy.deepcopy(model)
        plain_model.reentrant = None
        torch.manual_seed(1)
        y = run(x)
        y.sum().backward()
        torch.manual_seed(1)
        plain_y = plain_model(x)
        plain_y.sum().backward()
        assert torch.allclose(y, plain_y, rtol=1e-5)
        for a, b in zip(model.parameters(), plain_model.parameters(), strict=True):
            assert torch.allclose(a.grad, b.grad, rtol=1e-4)


def test_a_count_inside_a_compiled_checkpoint_is_refused_aloud() -> None:
    torch._dynamo.reset()
    model = torch.compile(Checkpointed(Dropout(0.5, seed=5), False), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match=r"(?i)side ?effect"):
        model(torch.randn(3, 6))


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("scaling", ["inverted", "original"])
def test_a_dropped_branch_is_not_computed_with_skip(mode: str, scaling: str) -> None:
    computed: list[int] = []
    weight = nn.Linear(3, 3).double()

    def branch(x: Tensor) -> Tensor:
        computed.append(len(x))
        return weight(x).sin()

    x = torch.randn(40, 3, dtype=torch.float64)
    seen = set()
    for _ in range(12):
        layer = StochasticDepth(0.4, mode, scaling)
        results = []
        state = torch.get_rng_state()
        for skip in (False, True):
            torch.set_rng_state(state)
            layer.skip = skip
            computed.clear()
            given = x.clone().requires_grad_()
            weight.zero_grad()
            y = layer.residual(given, branch, given)
            y.square().sum().backward()
            gradient = torch.zeros_like(weight.weight) if weight.weight.grad is None else weight.weight.grad.clone()
            results.append((y.detach(), given.grad, gradient, sum(computed)))
        (y, *gradients, plainly), (skipping_y, *skipping_gradients, skipped) = results
        kept = int((y != x).any(dim=1).sum())
        assert plainly == 40 and skipped == kept and (mode == "row" or kept in (0, 40))
        seen.add(kept)
        assert torch.allclose(y, skipping_y, rtol=1e-12)
        assert all(torch.allclose(a, b) for a, b in zip(gradients, skipping_gradients, strict=True))
    assert len(seen) > 1
    computed.clear()
    layer.eval().residual(x, branch, x)
    assert computed == [40]
    layer.train().survival = 0.0
    computed.clear()
    assert layer.residual(x, branch, x) is x and not computed


def test_skip_takes_what_autocast_makes_of_the_branch() -> None:
    layer = StochasticDepth(0.5, skip=True)
    linear = nn.Linear(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer.residual(torch.ones(8, 3), linear, torch.ones(8, 3))
    assert y.dtype == torch.float32


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_a_module_becomes_drop_connect_by_its_class_and_goes_back(kind: type[nn.Module]) -> None:
    module = kind(6, 4) if kind is nn.Linear else kind(6, 4, 2)
    x = torch.randn(3, 6) if kind is nn.Linear else torch.randn(3, 6, *[3] * (module.weight.dim() - 2))
    want, parameters, keys = module(x), list(module.parameters()), list(module.state_dict())
    module.__class__ = drop_connect_class(module)
    assert module.p == 0.5 and "p" not in vars(module)
    assert not torch.equal(module(x), want) and torch.equal(module.eval()(x), want)
    module.p, module.inference = 0.3, "moment"
    assert not torch.equal(module(x), want)
    del module.p, module.inference
    module.__class__ = kind
    assert torch.equal(module(x), want) and list(module.state_dict()) == keys
    assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))


def test_only_torchs_own_modules_become_drop_connect() -> None:
    class Mine(nn.Linear):
        pass

    for module in (Mine(2, 2), nn.ConvTranspose2d(2, 2, 2), nn.ReLU(), DropConnectLinear(2, 2)):
        with pytest.raises(ValueError, match="exactly these classes: Linear, Conv1d, Conv2d, Conv3d"):
            drop_connect_class(module)


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_masks_of_drop_connect_differ_between_samples_or_do_not(per: str) -> None:
    linear = DropConnectLinear(40, 5, per=per)
    conv = DropConnectConv2d(4, 5, 3, per=per)
    for layer, x in ((linear, torch.ones(6, 3, 40)), (conv, torch.ones(6, 4, 8, 8))):
        y = layer(x)
        pairs = itertools.combinations(range(6), 2)
        assert all(torch.allclose(y[a], y[b]) is (per == "batch") for a, b in pairs)
        if layer is linear:
            assert torch.allclose(y[:, 0], y[:, 1], rtol=1e-4)  # positions of a sample share its mask
    assert linear(torch.ones(40)).shape == (5,) and conv(torch.ones(4, 8, 8)).shape == (5, 6, 6)
    assert linear(torch.ones(0, 40)).shape == (0, 5) and conv(torch.ones(0, 4, 8, 8)).shape == (0, 5, 6, 6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Dropout(1.5), r"p must be from 0 to 1, got 1\.5"),
        (lambda: Dropout(float("nan")), "p must be from 0 to 1, got nan"),
        (lambda: Dropout("0.5"), "p must be a number, got '0.5'"),
        (lambda: Dropout(mode="scaled"), "mode must be 'inverted' or 'original', got 'scaled'"),
        (lambda: Dropout(seed=-1), r"a seed is a whole number from 0 to 2\^64 - 1, got -1"),
        (lambda: Dropout(seed=1.5), "a seed is a whole number"),
        (lambda: GaussianDropout(1.0), r"p must be from 0 to below 1, got 1\.0"),
        (lambda: GaussianNoise(-0.1), r"std must be at least 0, got -0\.1"),
        (lambda: GaussianNoise(float("inf")), "std must be at least 0, got inf"),
        (lambda: AlphaDropout(-1), "p must be from 0 to 1, got -1"),
        (lambda: StochasticDepth(2), "survival must be from 0 to 1, got 2"),
        (lambda: StochasticDepth(mode="sample"), "mode must be 'row' or 'batch', got 'sample'"),
        (lambda: DropBlock2d(block_size=0), "block_size must be a whole number of at least 1, got 0"),
        (lambda: DropBlock2d(per="batch"), "per must be 'channel' or 'sample', got 'batch'"),
        (lambda: ShakeDrop(alpha=(1, -1)), r"alpha must be \(low, high\) with low <= high"),
        (lambda: DropConnectLinear(2, 2, p=-0.5), r"p must be from 0 to 1, got -0\.5"),
        (lambda: DropConnectLinear(2, 2, inference="mean"), "inference must be 'scale' or 'moment', got 'mean'"),
        (lambda: SpatialDropout()(torch.ones(2, 3)), r"at least 3 dimensions, got an input of shape \(2, 3\)"),
        (
            lambda: Dropout2d()(torch.ones(2, 3)),
            r"Dropout2d takes \(batch, channels, height, width\) or \(channels, ",
        ),
        (lambda: DropBlock1d()(torch.ones(2)), r"\(batch, channels, length\) or .*, got an input of shape \(2,\)"),
        (lambda: MapDropBlock()(torch.ones(2, 3)), "with 3 to 5 dimensions"),
        (lambda: StochasticDepth()(torch.tensor(1.0)), "with a batch dimension, got a single number"),
        (lambda: ShakeDrop(per="channel")(torch.ones(2)), r"ShakeDrop takes \(batch, channels, \.\.\.\), got \(2,\)"),
        (lambda: ShakeShake()(torch.ones(2, 3), torch.ones(2, 1)), "both branches must have the same shape"),
        (
            lambda: Dropout()(torch.ones(3, dtype=torch.int64)),
            "Dropout takes floating-point tensors, got torch.int64",
        ),
        (lambda: DropBlock2d()(torch.ones(1, 1, 3, 3, dtype=torch.uint8)), "takes floating-point tensors"),
    ],
)
def test_what_is_refused_and_the_messages(make: Callable[[], object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_maps_may_come_without_a_batch_or_be_smaller_than_the_block() -> None:
    whole = DropBlock2d(0.5, 7)(torch.ones(400, 5, 3))
    dropped = (whole == 0).flatten(1).float().mean(dim=1)
    assert set(dropped.tolist()) == {0.0, 1.0} and (whole[dropped == 0] == 2).all()
    assert DropBlock2d(0.5)(torch.ones(0, 2, 4, 4)).shape == (0, 2, 4, 4)
    one = Dropout2d(0.5)(torch.ones(500, 2, 2))
    assert ((one == 0).flatten(1).all(dim=1) | (one == 2).flatten(1).all(dim=1)).all()


def test_public_names() -> None:
    assert augreg.nn.__all__ == sorted(augreg.nn.__all__) and dir(augreg.nn) == augreg.nn.__all__
    for name in augreg.nn.__all__:
        assert getattr(augreg.nn, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'DropPath'"):
        _ = augreg.nn.DropPath
