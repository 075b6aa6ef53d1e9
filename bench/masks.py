"""What masks cost: layers one at a time, with the memory that they move.

    python bench/masks.py                    # on the CPU, 1 thread
    python bench/masks.py --device cuda      # in bfloat16
    python bench/masks.py --quick            # small inputs and two rounds, to see that it runs

`regularizers.py` measures them in the training step of whole models.

A layer runs forward and backward. A GPU waits for memory, so besides the time the table shows the number of
operators, the bytes that they read and write, and the bytes that are kept for backward, both in units of one input.
They are counted for the operators that the layer uses on a GPU, also where this runs on a CPU; the time is that of
this device. The rows take turns within a round, so a busy machine slows all of them alike: trust the ratios.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from comparison import measure_in_turns, ratio
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from augreg.nn import DropBlock2d, DropConnectLinear, Dropout, masks

Work = Callable[[], Any]


class Traffic(TorchDispatchMode):
    """Counts the operators that read or write memory, and their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = 0
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and not name.startswith(("empty", "new_empty", "detach", "_unsafe_view")):
            read = [] if name.startswith(("bernoulli", "fill_", "zero_")) else tree_leaves((args, kwargs or {}))
            self.operators += 1
            self.bytes += sum(stored(value) for value in (*read, *tree_leaves(output)) if isinstance(value, Tensor))
        return output


def stored(value: Tensor) -> int:
    """The bytes of the elements of a tensor; those that are repeated by a stride of 0 count once."""
    count = value.element_size()
    for size, stride in zip(value.shape, value.stride(), strict=True):
        count *= size if stride else 1
    return count


@dataclass
class Row:
    """A way to compute the layer, and its name."""

    name: str
    run: Callable[[Tensor], Tensor]
    parameters: tuple[Tensor, ...] = ()
    fused: bool = False  # counted as on a GPU, with torch's fused kernels


def step(row: Row, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    y = row.run(x)
    torch.autograd.grad(y, (x, *row.parameters), torch.ones_like(y))
    return y


def costs(row: Row, x: Tensor) -> tuple[int, float, float]:
    """The operators of a step, the bytes that they move, and the bytes kept for backward, in units of the input."""
    kept: dict[int, int] = {}

    def save(value: Tensor) -> Tensor:
        if not any(value.data_ptr() == own.data_ptr() for own in (x, *row.parameters)):
            kept[value.data_ptr()] = value.untyped_storage().nbytes()
        return value

    with as_on_a_gpu(row.fused):
        step(row, x)  # what is computed once
        with torch.autograd.graph.saved_tensors_hooks(save, lambda value: value):
            output = row.run(x.detach().requires_grad_())
        kept.pop(output.data_ptr(), None)
        with Traffic() as traffic:
            step(row, x)
    size = x.numel() * x.element_size()
    return traffic.operators, traffic.bytes / size, sum(kept.values()) / size


@contextmanager
def as_on_a_gpu(fused: bool) -> Iterator[None]:
    """The layers choose the operators that they would on a GPU."""
    before = masks.FUSED
    masks.FUSED = before | {"cpu"} if fused else before
    try:
        yield
    finally:
        masks.FUSED = before


def layer_tables(device: str, dtype: torch.dtype, quick: bool) -> dict[str, tuple[Tensor, list[Row]]]:
    """Tables of rows by title. The first row of each is what the others are compared with."""
    batch = 4 if quick else 32
    maps = torch.randn(batch, 256, 28, 28, device=device, dtype=dtype)
    vectors = torch.randn(batch, 49, 384, device=device, dtype=dtype)

    def cast(layer: nn.Module, name: str) -> Row:
        """A layer with float32 weights, under autocast."""

        def run(x: Tensor) -> Tensor:
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                return layer(x)

        return Row(name, run, tuple(layer.parameters()), fused=True)

    def connect(per: Any) -> Row:
        return cast(DropConnectLinear(384, 1536, p=0.1, per=per, device=device), f"augreg, per: {per}")

    return {
        f"dropout {tuple(maps.shape)}": (
            maps,
            [
                Row("torch.nn.Dropout", nn.Dropout(0.1)),
                Row("torch.native_dropout", lambda x: torch.native_dropout(x, 0.1, True)[0]),  # nn.Dropout on a GPU
                Row("augreg", Dropout(0.1), fused=True),
                Row("augreg, remove_infinities", Dropout(0.1, remove_infinities=True), fused=True),
            ],
        ),
        f"drop_block {tuple(maps.shape)}, 7 x 7": (
            maps,
            [
                Row("augreg", DropBlock2d(0.1, 7), fused=True),
                Row("augreg, per: sample", DropBlock2d(0.1, 7, per="sample"), fused=True),
                *other_drop_blocks(0.1, 7),
            ],
        ),
        f"drop_connect {tuple(vectors.shape)} to 1536": (
            vectors,
            [cast(nn.Linear(384, 1536, device=device), "torch.nn.Linear"), *map(connect, ("batch", 8, "sample"))],
        ),
    }


def other_drop_blocks(p: float, size: int) -> list[Row]:
    rows = []
    if importlib.util.find_spec("timm"):
        from timm.layers import DropBlock2d as TimmDropBlock

        rows.append(Row("timm, a mask per channel", TimmDropBlock(p, size, couple_channels=False)))
        rows.append(Row("timm, a mask per sample", TimmDropBlock(p, size)))
    if importlib.util.find_spec("torchvision"):
        try:
            from torchvision.ops import DropBlock2d as VisionDropBlock
        except RuntimeError:  # a torchvision for another torch
            return rows
        rows.append(Row("torchvision, per channel", VisionDropBlock(p, size)))
    return rows


def timed(work: Work, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def layers(args: argparse.Namespace, dtype: torch.dtype) -> None:
    for title, (x, rows) in layer_tables(args.device, dtype, args.quick).items():
        works = {row.name: functools.partial(step, row, x) for row in rows}
        for work in works.values():
            work()
        times = measure_in_turns(works, args.rounds, lambda work, _: timed(work, args.device))
        print(f"\n{title}, {str(dtype)[6:]}, forward and backward")
        print(f"  {'':28}{'ms':>8} {'ratio':>6} {'operators':>10} {'moved':>7} {'kept':>6}")
        for row in rows:
            operators, moved, kept = costs(row, x)
            values = times[row.name]
            print(
                f"  {row.name:28}{1e3 * statistics.median(values):8.2f} {ratio(values, times[rows[0].name]):6.2f} "
                f"{operators:10} {moved:7.1f} {kept:6.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="bfloat16 on a GPU, else float32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few rounds and small inputs, to see that it runs")
    args = parser.parse_args()
    args.rounds = 2 if args.quick else args.rounds
    dtype = getattr(torch, args.dtype or ("bfloat16" if args.device == "cuda" else "float32"))
    torch.set_num_threads(args.threads)
    where = (
        torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} thread(s), {platform.machine()}"
    )
    print(f"torch {torch.__version__}, {where}")
    layers(args, dtype)


if __name__ == "__main__":
    main()
