"""What `augreg.expect` with 32 samples costs, beside 32 plain forward passes.

    python bench/expect.py                    # on the CPU, 1 thread
    python bench/expect.py --device cuda
    python bench/expect.py --quick            # small models and two rounds, to see that it runs

The plain forward passes are loops of 32 calls, once in evaluation and once with the dropout on, as in Monte Carlo
dropout by hand; both leave out the mean, its standard error and the entropies. The rows take turns within a round, so
a busy machine slows all of them alike: trust the ratios. On a CPU, time is that of the processor.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from comparison import measure_in_turns, ratio
from torch import Tensor, nn

import augreg

SAMPLES = 32


def convolutional(width: int) -> nn.Module:
    """Four stages of two convolutions with batch norm, and dropout before the classifier."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in range(4):
        wide = width * 2**stage
        for stride in (2, 1):
            layers += [nn.Conv2d(channels, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            channels = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels, 100))


class Transformer(nn.Module):
    """A vision transformer: patches of 16 x 16, pre-norm blocks, dropout 0.1, and the mean of the tokens."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        block = nn.TransformerEncoderLayer(
            width, width // 32, 4 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 100)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.blocks(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


def loop(model: nn.Module, x: Tensor, training: bool) -> Callable[[], Any]:
    def run() -> None:
        model.eval()
        for module in model.modules():
            module.training = training and not isinstance(module, nn.BatchNorm2d)
        with torch.no_grad():
            for _ in range(SAMPLES):
                model(x)

    return run


def timed(work: Callable[[], Any], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def measure(name: str, model: nn.Module, x: Tensor, args: argparse.Namespace) -> None:
    model, x = model.to(args.device), x.to(args.device)
    expectation = augreg.expect(model, samples=SAMPLES)
    works = {
        "plain, evaluation": loop(model, x, training=False),
        "plain, dropout on": loop(model, x, training=True),
        "augreg.expect": lambda: expectation(x),
    }
    start = time.perf_counter()
    expectation(x)
    first = time.perf_counter() - start
    for work in works.values():
        work()
    times = measure_in_turns(works, args.rounds, lambda work, _: timed(work, args.device))
    mine = times["augreg.expect"]
    calls = expectation(x).report.batches
    print(f"\n{name}, batch {len(x)}: {calls} calls of the model, the first time {1e3 * first:.0f} ms")
    for row, values in times.items():
        print(f"  {row:20}{1e3 * statistics.median(values):10.1f} ms   expect / this {ratio(mine, values):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small models and two rounds, to see that it runs")
    args = parser.parse_args()
    args.rounds = 2 if args.quick else args.rounds
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cuda = args.device == "cuda"
    where = torch.cuda.get_device_name() if cuda else f"{args.threads} thread(s), {platform.machine()}"
    print(f"torch {torch.__version__}, {where}")
    side = 32 if args.quick else 224 if cuda else 64
    models = {
        "convolutional network": convolutional(8 if args.quick else 64 if cuda else 16),
        "vision transformer": Transformer(64 if args.quick else 384 if cuda else 128, 2 if args.quick else 6),
    }
    for name, model in models.items():
        for batch in (1, 32):
            measure(f"{name} at {side} x {side}", model, torch.randn(batch, 3, side, side), args)


if __name__ == "__main__":
    main()
