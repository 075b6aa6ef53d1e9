"""The price of masks: what is computed, moved and kept; and that what comes out has the exact distribution.

`fused` lets the CPU take the paths that CUDA takes: torch has the same operators for both. Statistical tests are at
an error rate of 1e-6.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import augreg  # noqa: E402
from augreg.nn import (  # noqa: E402
    AlphaDropout,
    DropBlock1d,
    DropBlock2d,
    DropConnectConv1d,
    DropConnectConv2d,
    DropConnectLinear,
    Dropout,
    Dropout2d,
    StochasticDepth,
    masks,
)
from augreg.nn.drop_block import MapDropBlock, numbers, without_blocks  # noqa: E402
from augreg.nn.masks import TORCH, SeededSource  # noqa: E402

ERROR_RATE = 1e-6
NEVER = 1e-12  # an outcome this rare is one that may not happen


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(20261126)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["cpu", "fused"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "fused":
        monkeypatch.setattr(masks, "FUSED", frozenset({"cpu"}))
    return str(request.param)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "FUSED", frozenset({"cpu"}))


class Operators(TorchDispatchMode):
    """The operators that run, except those that make views or reserve memory."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and not func.overloadpacket.__name__.startswith(("empty", "new_empty", "detach")):
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operators(run: Callable[[], Any]) -> list[str]:
    with Operators() as counted:
        run()
    return counted.names


def kept_bytes(run: Callable[[], Tensor]) -> int:
    """The bytes that are kept for backward, besides parameters and inputs that exist anyway."""
    sizes: dict[int, int] = {}

    def save(value: Tensor) -> Tensor:
        if not value.is_leaf or not value.requires_grad:
            sizes[value.data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(save, lambda value: value):
        run()
    return sum(sizes.values())


def assert_distribution(found: Counter[Any], expected: dict[Any, float]) -> None:
    """A chi-square test; outcomes are binned until 5 of each are expected, and impossible ones must not be found."""
    total = found.total()
    assert math.isclose(math.fsum(expected.values()), 1.0, rel_tol=1e-9)
    assert set(found) <= {outcome for outcome, probability in expected.items() if probability > NEVER}
    bins = [[0.0, 0.0]]
    for outcome, probability in sorted(expected.items(), key=lambda item: item[1]):
        bins[-1][0] += found[outcome]
        bins[-1][1] += probability * total
        if bins[-1][1] >= 5:
            bins.append([0.0, 0.0])
    last = bins.pop()
    bins[-1] = [bins[-1][0] + last[0], bins[-1][1] + last[1]]
    freedom = len(bins) - 1
    z = NormalDist().inv_cdf(1 - ERROR_RATE)
    limit = freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3  # Wilson and Hilferty
    assert sum((count - mean) ** 2 / mean for count, mean in bins) < limit


# ------------------------------------------------------------------------------------------------------- drop block


@pytest.mark.parametrize("sizes", [(9,), (5, 8), (7, 7), (1, 6), (3, 4, 5)])
@pytest.mark.parametrize("block", [1, 2, 3, 5, 6, 7, 9])
@pytest.mark.parametrize("channels_last", [False, True])
def test_blocks_are_those_of_max_pooling(sizes: tuple[int, ...], block: int, channels_last: bool) -> None:
    blocks = [min(block, size) for size in sizes]
    places = [size - own + 1 for size, own in zip(sizes, blocks, strict=True)]
    seeds = torch.rand(3, 4, *places) < 0.2
    border = [width for own in reversed(blocks) for width in (own - 1, own - 1)]
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[len(sizes) - 1]
    want = pool(functional.pad(seeds.float(), border), blocks, stride=1) == 0
    if channels_last:
        got = without_blocks(~seeds.movedim(1, -1), sizes, blocks, 4).movedim(-1, 1)
    else:
        got = without_blocks(~seeds, sizes, blocks, 1)
    assert got.dtype == torch.bool and torch.equal(got, want)


def outcomes(sizes: tuple[int, int], block: int, p: float) -> dict[tuple[bool, ...], float]:
    """Every mask of a map, with its probability: all sets of seeds are tried."""
    gamma = 1.0 - math.exp(float(numbers(sizes, block, p, torch.device("cpu"), torch.float64)[0].double().log()))
    rows, columns = (size - block + 1 for size in sizes)
    found: dict[tuple[bool, ...], float] = {}
    for seeds in itertools.product((False, True), repeat=rows * columns):
        kept = [True] * (sizes[0] * sizes[1])
        for place in itertools.compress(itertools.product(range(rows), range(columns)), seeds):
            for down, right in itertools.product(range(block), repeat=2):
                kept[(place[0] + down) * sizes[1] + place[1] + right] = False
        probability = gamma ** sum(seeds) * (1.0 - gamma) ** (len(seeds) - sum(seeds))
        found[tuple(kept)] = found.get(tuple(kept), 0.0) + probability
    return found


@pytest.mark.parametrize("sizes, block, p", [((3, 4), 2, 0.3), ((4, 4), 3, 0.5), ((3, 3), 1, 0.2)])
def test_masks_of_drop_block_are_distributed_as_the_sets_of_seeds(
    path: str, sizes: tuple[int, int], block: int, p: float
) -> None:
    expected = outcomes(sizes, block, p)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.ones(1500, 4, *sizes).to(memory_format=layout)
        y = DropBlock2d(p, block)(x)
        assert y.is_contiguous(memory_format=layout)
        found = Counter(map(tuple, (y != 0).contiguous().view(6000, -1).tolist()))
        assert_distribution(found, expected)


@pytest.mark.parametrize("sizes, block, p", [((3, 4), 2, 0.3), ((4, 4), 3, 0.5), ((3, 3), 1, 0.2)])
def test_the_scale_of_drop_block_is_exact(sizes: tuple[int, int], block: int, p: float) -> None:
    """The sum over all sets of seeds of probability * mask * scale is 1 everywhere, and a fraction p is dropped."""
    scale = numbers(sizes, block, p, torch.device("cpu"), torch.float64)[1].flatten()
    total, dropped = torch.zeros_like(scale), 0.0
    for mask, probability in outcomes(sizes, block, p).items():
        total += probability * torch.tensor(mask).double() * scale
        dropped += probability * (1 - sum(mask) / len(mask))
    # gamma is rounded to float32, as the draws are
    assert torch.allclose(total, torch.ones_like(total), rtol=1e-6) and math.isclose(dropped, p, rel_tol=1e-6)


def test_drop_block_solves_and_copies_once_and_keeps_one_byte_per_element(path: str) -> None:
    layer, x = DropBlock2d(0.123, 7), torch.randn(2, 8, 14, 14, requires_grad=True)
    layer(x)
    names = operators(lambda: layer(x).sum().backward())
    assert len(names) <= 20 and not {"_local_scalar_dense", "_to_copy", "max_pool2d_with_indices"} & set(names)
    assert names.count("bitwise_and") == 6
    assert kept_bytes(lambda: layer(x)) <= x.numel() + 14 * 14 * 4
    layer.p = 0.2  # and a rate that moves is followed
    assert (layer(torch.ones(64, 32, 14, 14)) == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)


def test_remembered_numbers_do_not_come_from_a_tensor_of_another_kind() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.randn(2, 3, 6, 5)

    def trains(layer: nn.Module) -> bool:
        return layer(x.clone().requires_grad_()).sum().requires_grad and layer(x).isfinite().all().item()

    layer = DropBlock2d(0.311, 3)
    with torch.inference_mode():
        layer(x)
    assert trains(layer)
    layer = DropBlock2d(0.312, 3)
    with FakeTensorMode():
        layer(torch.randn(2, 3, 6, 5))
    assert trains(layer)
    layer = DropBlock2d(0.313, 3)
    assert make_fx(layer)(x)(x).shape == x.shape and trains(layer)
    layer = DropBlock2d(0.314, 3)
    assert torch.func.vmap(torch.func.grad(lambda row: layer(row).sum()), randomness="different")(x).shape == x.shape
    assert trains(layer)
    layer = DropBlock2d(0.315, 3)
    with torch.device("meta"):
        assert layer(x).device.type == "cpu"


# ---------------------------------------------------------------------------------------------------------- dropout

ONE_BYTE: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: Dropout(0.25),
    "infinities": lambda: Dropout(0.25, remove_infinities=True),
    "original": lambda: Dropout(0.25, "original"),
    "alpha": lambda: AlphaDropout(0.25),
    "block": lambda: DropBlock2d(0.25, 1),
}


@pytest.mark.parametrize("name", ONE_BYTE)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_mask_is_one_byte_and_fair_in_every_dtype(path: str, name: str, dtype: torch.dtype) -> None:
    layer = ONE_BYTE[name]()
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.ones(8, 16, 12, 12, dtype=dtype).to(memory_format=layout).requires_grad_()
        y = layer(x)
        assert y.dtype == dtype and y.stride() == x.stride()
        assert kept_bytes(lambda x=x: layer(x)) <= x.numel() + 12 * 12 * 8
        kept = y > 0
        values = y.detach()[kept].unique()
        want = {"original": 1.0, "alpha": values[0].item()}.get(name, 1 / 0.75)
        assert values.shape == (1,) and values[0].item() == pytest.approx(want, rel=2 * torch.finfo(dtype).eps)
        deviation = abs(kept.double().mean().item() - 0.75)
        assert deviation < NormalDist().inv_cdf(1 - ERROR_RATE / 2) * math.sqrt(0.75 * 0.25 / x.numel())
        y.sum().backward()
        assert ((x.grad != 0) == kept).all() and x.grad.dtype == dtype


def test_units_of_dropout_are_independent(path: str) -> None:
    found = Counter(map(tuple, (Dropout(0.3)(torch.ones(8000, 4)) != 0).tolist()))
    units = itertools.product((False, True), repeat=4)
    assert_distribution(found, {mask: 0.7 ** sum(mask) * 0.3 ** (4 - sum(mask)) for mask in units})


@pytest.mark.parametrize("name", ["dropout", "infinities", "alpha", "block"])
def test_gradients_are_right_and_checkpointing_draws_the_same(fused: None, name: str) -> None:
    layer, x = ONE_BYTE[name](), torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return layer(x.sin())

    assert torch.autograd.gradcheck(run, (x,)) and torch.autograd.gradgradcheck(run, (x,), fast_mode=True)
    found = []
    for call in (layer, lambda value: checkpoint(layer, value, use_reentrant=False)):
        torch.manual_seed(4)
        found.append(torch.autograd.grad(call(x.sin()).square().sum(), x)[0])
    assert torch.equal(*found)


def test_dropout_is_torchs_kernel_where_there_is_one(fused: None) -> None:
    x = torch.randn(64, 8, requires_grad=True)
    for layer, kernel in (
        (Dropout(0.2), True),
        (Dropout(0.2, remove_infinities=True), False),
        (Dropout(0.2, "original"), False),
        (Dropout(0.2, seed=1), False),
    ):
        names = operators(lambda layer=layer: layer(x).backward(torch.ones_like(x)))
        assert ("native_dropout" in names) is kernel
        assert not kernel or (names[-1] == "native_dropout_backward" and len(names) == 3)
    torch.manual_seed(5)
    ours = Dropout(0.2)(x)
    torch.manual_seed(5)
    assert torch.equal(ours, torch.native_dropout(x, 0.2, True)[0])
    assert "native_dropout" not in operators(lambda: Dropout2d(0.5)(torch.ones(2, 3, 1, 1)))
    assert "native_dropout" not in operators(lambda: StochasticDepth(0.5)(torch.ones(8)))


@pytest.mark.parametrize("hidden", [torch.inf, -torch.inf, torch.nan])
def test_infinities_that_are_dropped_are_removed_if_that_is_asked_for(path: str, hidden: float) -> None:
    x = torch.full((400,), hidden, requires_grad=True)
    layers = {"asked": Dropout(0.5, remove_infinities=True), "seed": Dropout(0.5, seed=1)}
    for layer in layers.values():
        y = layer(x)
        dropped = y == 0
        assert 100 < dropped.sum() < 300 and not y[~dropped].isfinite().any()
        (gradient,) = torch.autograd.grad(y, x, torch.full_like(y, hidden))
        assert (gradient[dropped] == 0).all()
    if path == "fused":  # as in torch, and as the documentation says
        assert Dropout(0.5)(x).isnan().any()


def test_compiled_dropout_has_no_graph_breaks_on_the_fused_path(fused: None) -> None:
    torch._dynamo.reset()
    x = torch.randn(64, 4, 6, 6, requires_grad=True)
    for layer in (Dropout(0.4), DropBlock2d(0.4, 2)):
        compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="eager")
        y = compiled(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert ((y == 0) == (gradient == 0)).all() and 0.3 < (y == 0).float().mean() < 0.5


# ------------------------------------------------------------------------------------------------------ drop connect


def test_groups_of_samples_share_masks_and_groups_are_independent(path: str) -> None:
    layer = DropConnectLinear(2, 1, p=0.3, bias=False, per=2)
    nn.init.constant_(layer.weight, 0.7)
    inputs = torch.tensor([1.0, 10.0]).expand(5, 2)  # so that the output tells the mask
    found: Counter[Any] = Counter()
    for _ in range(1500):
        y = (layer(inputs) / 0.7 * 0.7).round().int().flatten().tolist()
        assert y[0] == y[1] and y[2] == y[3]
        found[(y[0], y[2], y[4])] += 1
    one = {0: 0.09, 1: 0.21, 10: 0.21, 11: 0.49}
    triples = itertools.product(one, repeat=3)
    assert_distribution(found, {triple: math.prod(one[mask] for mask in triple) for triple in triples})


CASES: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "linear": (lambda **own: DropConnectLinear(6, 4, **own), (6,)),
    "positions": (lambda **own: DropConnectLinear(6, 4, **own), (3, 6)),
    "conv1d": (lambda **own: DropConnectConv1d(4, 6, 3, padding=1, groups=2, **own), (4, 7)),
    "conv2d": (
        lambda **own: DropConnectConv2d(4, 6, 3, stride=2, padding_mode="circular", padding=1, **own),
        (4, 6, 5),
    ),
    "pointwise": (lambda **own: DropConnectConv2d(4, 6, 1, **own), (4, 3, 5)),
    "pointwise groups": (lambda **own: DropConnectConv2d(4, 6, 1, groups=2, **own), (4, 3, 5)),
    "pointwise strides": (lambda **own: DropConnectConv2d(4, 6, 1, stride=2, **own), (4, 3, 5)),
    "pointwise padding": (lambda **own: DropConnectConv2d(4, 6, 1, padding="same", **own), (4, 3, 5)),
}


@pytest.mark.parametrize("mask_bias", [False, True])
@pytest.mark.parametrize("per", ["sample", 2, 3, 5, 8])
@pytest.mark.parametrize("name", CASES)
def test_drop_connect_is_torchs_layer_with_the_weights_of_each_sample(name: str, per: Any, mask_bias: bool) -> None:
    make, shape = CASES[name]
    layer = make(per=per, p=0.4, mask_bias=mask_bias, seed=9).double()
    size = 1 if per == "sample" else min(per, 5)
    for last in (False, True) if len(shape) == 3 else (False,):
        x = torch.randn(5, *shape, dtype=torch.float64)
        x = x.to(memory_format=torch.channels_last) if last else x
        source = SeededSource(9)
        source.calls = layer.source.calls
        groups = -(-5 // size)
        bias = layer.bias.expand(groups, -1)
        if mask_bias:
            bias = torch.where(source.uniform(bias.shape, "cpu") < 0.6, bias / 0.6, 0)
        kept = source.uniform((groups, *layer.weight.shape), "cpu") < 0.6
        want = []
        for number, sample in enumerate(x):
            own = {"weight": layer.weight / 0.6 * kept[number // size], "bias": bias[number // size]}
            plain = copy.copy(layer).eval()
            plain.p = 0.0
            want.append(torch.func.functional_call(plain, own, sample.unsqueeze(0))[0])
        y = layer(x)
        assert torch.allclose(y, torch.stack(want))
        assert (
            not last or per != "sample" or name != "pointwise" or y.is_contiguous(memory_format=torch.channels_last)
        )


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_groups_are_right(fused: None, name: str) -> None:
    make, shape = CASES[name]
    layer = make(per=2, p=0.4, mask_bias=True).double()

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        torch.manual_seed(1)
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    inputs = [torch.randn(3, *shape, dtype=torch.float64), layer.weight.detach(), layer.bias.detach()]
    assert torch.autograd.gradcheck(run, [value.requires_grad_() for value in inputs], fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["positions", "conv2d", "pointwise"])
def test_autocast_casts_weights_once_and_keeps_them_small(path: str, name: str, dtype: torch.dtype) -> None:
    make, shape = CASES[name]
    layer = make(p=0.4)
    x = torch.randn(5, *shape, requires_grad=True)
    torch.manual_seed(2)
    want = layer(x)
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype):
        y = layer(x)
        kept = kept_bytes(lambda: layer(x))
    assert y.dtype == dtype and torch.allclose(y.float(), want, atol=0.1)
    # per masked weight: the mask and the weight in 2 bytes; besides, the input once or twice (padded)
    assert kept <= 5 * layer.weight.numel() * 3 + 2 * layer.weight.numel() + 6 * x.numel()
    y.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32 and layer.weight.grad.isfinite().all() and x.grad.isfinite().all()


def test_groups_of_samples_compile_for_any_batch() -> None:
    torch._dynamo.reset()
    layer = DropConnectLinear(6, 4, p=0.4, per=2, seed=3)
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, dynamic=True, backend="eager")
    for batch in (5, 4, 7):
        x = torch.randn(batch, 6)
        assert torch.allclose(compiled(x), layer(x), atol=1e-6)


def test_the_number_of_samples_is_checked_and_may_be_given_in_a_spec() -> None:
    for bad in (0, -1, 1.5, "each", True, None):
        with pytest.raises(ValueError, match="per must be 'sample', 'batch' or a number of samples of at least 1"):
            DropConnectLinear(2, 2, per=bad)
    model = nn.Sequential(nn.Linear(3, 3))
    augreg.regularize(model, [{"drop_connect": {"at": "0", "per": 8}}])
    assert model[0].per == 8
    with pytest.raises(augreg.SpecError, match=r"drop_connect\.per: expected int >= 1, got 0"):
        augreg.Pipeline.from_spec({"model": [{"drop_connect": {"at": "0", "per": 0}}]})


def test_removing_infinities_may_be_asked_for_in_a_spec_and_fingerprints_stay() -> None:
    def pipeline(**arguments: Any) -> augreg.Pipeline:
        return augreg.Pipeline.from_spec({"model": [{"dropout": {"at": "**", **arguments}}]})

    assert pipeline().fingerprint == pipeline(remove_infinities=False).fingerprint
    assert pipeline().fingerprint == "41edfe8f1ac563f60ee81660c27eb99bce407730b515fba022d6fc3e1b5434ec"
    asked = pipeline(remove_infinities=True)
    assert asked.fingerprint != pipeline().fingerprint
    assert augreg.Pipeline.from_spec(asked.to_spec()).fingerprint == asked.fingerprint
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Dropout(0.1))
    augreg.regularize(model, [{"dropout": {"at": "0", "remove_infinities": True}}])
    (layer,) = {hook.layer for hook in model[0]._forward_hooks.values()}
    assert layer.remove_infinities
    with pytest.raises(augreg.SpecError, match="not remove_infinities = True"):
        augreg.regularize(model, [{"dropout": {"at": "2", "remove_infinities": True}}])


# ----------------------------------------------------------------------------------------------------- distribution


def test_ranks_of_a_distributed_run_draw_by_a_generator_and_not_element_by_element(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(rank: int) -> list[Tensor]:
        torch.manual_seed(0)
        distributed = SimpleNamespace(
            is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: rank, get_world_size=lambda: 4
        )
        monkeypatch.setattr(torch, "distributed", distributed)
        x = torch.ones(200, 10)
        found = [TORCH.uniform((2000,), "cpu"), TORCH.normal((2000,), "cpu"), TORCH.kept(0.3, (2000,), x.flatten())]
        assert len(operators(lambda: TORCH.kept(0.3, (200, 10), x))) <= 5
        state = torch.get_rng_state()
        first = Dropout(0.5)(x)
        torch.set_rng_state(state)
        assert torch.equal(Dropout(0.5)(x), first) and not torch.equal(Dropout(0.5)(x), first)
        return [*found, first]

    z = NormalDist().inv_cdf(1 - ERROR_RATE / 2)
    for one, two, again in zip(draws(0), draws(1), draws(1), strict=True):
        assert torch.equal(two, again) and not torch.equal(one, two)
        assert abs(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]).double())[0, 1]) < z / math.sqrt(2000)
    uniform, normal, kept, _ = draws(2)
    assert abs(uniform.mean() - 0.5) < z / math.sqrt(12 * 2000) and abs(normal.mean()) < z / math.sqrt(2000)
    assert abs(kept.double().mean() - 0.3) < z * math.sqrt(0.21 / 2000)


@pytest.mark.parametrize("name", [*ONE_BYTE, "connect"])
def test_layers_go_through_vmap(path: str, name: str) -> None:
    layer = DropConnectLinear(6, 4) if name == "connect" else ONE_BYTE[name]()
    x = torch.ones(3, 8, 6, 6)
    y = torch.func.vmap(layer, randomness="different")(x)
    assert y.shape[:3] == x.shape[:3] and not torch.equal(y[0], y[1])


def test_a_map_of_one_dimension_and_without_a_batch(path: str) -> None:
    assert DropBlock1d(0.5, 3)(torch.ones(4, 9)).shape == (4, 9)
    turned = torch.ones(64, 9, 4).transpose(1, 2)  # (batch, channels, length), channels last
    y = DropBlock1d(0.4, 3)(turned)
    assert y.stride() == turned.stride() and 0.25 < (y == 0).float().mean() < 0.55
    assert MapDropBlock(0.5, 2, per="sample")(torch.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
