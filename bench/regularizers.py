"""What regularizers cost: the time of a training step with them over that of the plain model's.

    python bench/regularizers.py                     # all sections, on the GPU if there is one
    python bench/regularizers.py --quick             # one round, 2 images, to see that it runs
    python bench/regularizers.py depth --device cpu --threads 2
    python bench/regularizers.py depth --model resnet50 --compile --autocast

It needs timm and torchvision. A step is forward, backward and the optimizer (SGD with momentum). The rows take turns
within a round, so a busy machine slows all of them alike: trust the ratios, which are medians over the rounds. Where
other programs use the processors too, the ratio by processor time says more; on a GPU it is left out.

dropout, drop_block, drop_connect: at every linear layer or convolution; `masks.py` measures the layers alone.
depth: stochastic depth with survival 0.5 in every branch of every block. `skip` does not compute what it drops; the
other rows compute it and mask it. Give each branch at least 16 of the images: on one thread of a processor, torch
convolves fewer by a slow path.
"""

from __future__ import annotations

import argparse
import functools
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import timm
import torch
import torchvision
from comparison import measure_in_turns, ratio
from torch import nn

import augreg

Change = Callable[[nn.Module], Any]
BLOCKS = {"vit_small_patch16_224": "blocks.*", "resnet50": "layer*.*"}
"""The names of the blocks of models."""


def ours(name: str, at: Any, **arguments: Any) -> Change:
    """Attach a regularizer at these modules."""
    return lambda model: augreg.regularize(model, [{name: {"at": at, **arguments}}])


def after(kind: type[nn.Module], layer: Callable[[], nn.Module]) -> Change:
    """Put a layer of another library after each module of a kind."""

    def add(module: nn.Module, layer: nn.Module) -> None:
        module.register_forward_hook(lambda module, args, output: layer(output))

    def change(model: nn.Module) -> None:
        for module in [module for module in model.modules() if type(module) is kind]:
            add(module, layer())

    return change


def at_paths(layer: Callable[[], nn.Module]) -> Change:
    """Put a layer at each drop path of timm's blocks."""

    def change(model: nn.Module) -> None:
        for block in list(model.modules()):
            for name in ("drop_path", "drop_path1", "drop_path2"):
                if hasattr(block, name):
                    setattr(block, name, layer())

    return change


def depth(model: str) -> dict[str, Change]:
    half = functools.partial(ours, "stochastic_depth", BLOCKS.get(model, "**"), survival=0.5, rule="uniform")
    return {
        "augreg, skip, mode row": half(skip=True),
        "augreg, skip, mode batch": half(skip=True, mode="batch"),
        "augreg, masked, mode row": half(),
        "timm DropPath": at_paths(lambda: timm.layers.DropPath(0.5)),
        "torchvision StochasticDepth": at_paths(lambda: torchvision.ops.StochasticDepth(0.5, "row")),
    }


def dropout(model: str) -> dict[str, Change]:
    linear = {"type": "Linear"}
    return {
        "augreg": ours("dropout", linear, p=0.1),
        "augreg, remove_infinities": ours("dropout", linear, p=0.1, remove_infinities=True),
        "torch Dropout": after(nn.Linear, lambda: nn.Dropout(0.1)),
    }


def drop_block(model: str) -> dict[str, Change]:
    convolutions, theirs = {"type": "Conv2d"}, timm.layers.DropBlock2d
    return {
        "augreg": ours("drop_block", convolutions, p=0.1),
        "augreg, per: sample": ours("drop_block", convolutions, p=0.1, per="sample"),
        "timm, a mask per channel": after(nn.Conv2d, lambda: theirs(0.1, 7, couple_channels=False)),
        "timm, a mask per sample": after(nn.Conv2d, lambda: theirs(0.1, 7)),
        "torchvision, a mask per channel": after(nn.Conv2d, lambda: torchvision.ops.DropBlock2d(0.1, 7)),
    }


def drop_connect(model: str) -> dict[str, Change]:
    linear = {"type": "Linear"}
    return {f"augreg, per: {per}": ours("drop_connect", linear, p=0.1, per=per) for per in ("sample", 8, "batch")}


SECTIONS: dict[str, tuple[Callable[[str], dict[str, Change]], tuple[str, ...]]] = {
    "depth": (depth, tuple(BLOCKS)),
    "dropout": (dropout, ("vit_small_patch16_224",)),
    "drop_block": (drop_block, ("resnet50",)),
    "drop_connect": (drop_connect, ("convnext_tiny", "vit_small_patch16_224")),
}
"""The rows of each section for a model, besides the plain model, and the models that it has by default."""


class Training:
    """A model with its optimizer and one batch."""

    def __init__(self, name: str, change: Change, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.device, self.autocast = torch.device(options.device), options.autocast
        model = timm.create_model(name, num_classes=1000).to(self.device).train()
        change(model)
        self.model = torch.compile(model) if options.compile else model
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        self.images = torch.randn(options.batch, 3, 224, 224, device=self.device)
        self.labels = torch.randint(1000, (options.batch,), device=self.device)

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            loss = nn.functional.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()

    def seconds(self, steps: int) -> tuple[float, float]:
        """The time of a step and its processor time."""
        self.wait()
        start, used = time.perf_counter(), time.process_time()
        for _ in range(steps):
            self.step()
        self.wait()
        return (time.perf_counter() - start) / steps, (time.process_time() - used) / steps

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def compare(section: str, name: str, options: argparse.Namespace) -> None:
    changes: dict[str, Change] = {"plain": lambda model: None, **SECTIONS[section][0](name)}
    rows = {row: Training(name, change, options) for row, change in changes.items()}
    on_cpu = options.device == "cpu"
    for training in rows.values():
        training.seconds(1 if on_cpu else 5)
    results = measure_in_turns(rows, options.rounds, lambda training, _: training.seconds(1 if on_cpu else 5))
    print(f"\n{section}, {name}, {options.batch} images on {options.device}: median of {options.rounds} rounds")
    print(f"  {'':32} {'ms':>8}  over the plain step{'   by processor time' if on_cpu else ''}")
    plain = list(zip(*results["plain"], strict=True))
    for row, values in results.items():
        times = list(zip(*values, strict=True))
        line = f"  {row:32} {statistics.median(times[0]) * 1e3:8.1f}  {ratio(times[0], plain[0]):19.2f}"
        print(line + (f"  {ratio(times[1], plain[1]):18.2f}" if on_cpu else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; default: all")
    names = sorted({name for _, models in SECTIONS.values() for name in models})
    parser.add_argument("--model", choices=names, action="append", help="default: all that a section has")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, help="default: 32 on the CPU, 128 elsewhere")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads on the CPU")
    parser.add_argument("--autocast", action="store_true", help="bfloat16")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--quick", action="store_true", help="2 images, 1 round")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    options.batch = options.batch or (32 if options.device == "cpu" else 128)
    if options.quick:
        options.batch, options.rounds = 2, 1
    torch.set_num_threads(options.threads)
    print(f"python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}, ", end="")
    print(f"torchvision {torchvision.__version__}; {options.threads} thread(s)")
    for section in options.sections or SECTIONS:
        for name in options.model or SECTIONS[section][1]:
            compare(section, name, options)


if __name__ == "__main__":
    main()
