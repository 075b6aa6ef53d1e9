"""One of two processes that train together on CPUs by gloo: python two_ranks.py FOLDER, with RANK set.

It runs the loop of each framework three times on one process group: whole, killed and resumed, and once without
mixing, and writes what this rank saw to FOLDER/RANK.json.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from training_runs import Killed, Photos, digest, example, network, of_vit, pipeline, vit, watched, weights

FRAMEWORKS = ("accelerate", "fabric", "lightning", "huggingface")
COUNT, KILL_AT = 32, 5  # two batches for each rank and epoch
PIPE = pipeline()


def run(framework: str, pipe: Any, model: Any, folder: Path) -> None:
    photos = Photos(COUNT)
    if framework == "accelerate":
        example("accelerate_loop")["train"](pipe, model, photos, folder, cpu=True)
    elif framework == "fabric":
        from lightning.fabric import Fabric

        fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
        fabric.launch()
        example("fabric_loop")["train"](fabric, pipe, model, photos, folder)
    elif framework == "lightning":
        from lightning.pytorch.callbacks import ModelCheckpoint

        names = example("lightning_trainer")
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        module = names["Classifier"](pipe, model, photos)
        checkpoints = ModelCheckpoint(folder, save_last=True)
        names["train"](module, checkpoints, accelerator="cpu", devices=2, strategy="ddp", **quiet)
    else:
        quiet = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "logging_strategy": "no"}
        example("huggingface")["train"](pipe, model, photos, str(folder), **quiet)


def masks(layers: list[Any]) -> list[str]:
    """What the attached dropout of each layer keeps, after torch was seeded alike on all ranks."""
    torch.manual_seed(5)
    return [digest(layer.train()(torch.ones(8, 8, 16)) == 0) for layer in layers]


def seen(framework: str, folder: Path) -> dict[str, Any]:
    new_model, new_pipe = (vit, of_vit) if framework == "huggingface" else (network, pipeline)
    found: dict[str, Any] = {}

    def fit(name: str, pipe: Any, seed: int, place: str, kill_at: int | None = None) -> Any:
        model = new_model()
        torch.manual_seed(seed)
        with watched(model, kill_at) as steps:
            try:
                run(framework, pipe, model, folder / framework / place)
            except Killed:
                assert kill_at is not None
        found[name] = steps
        return model

    fit("unmixed", new_pipe(batch=[]), 1, "unmixed")
    whole = fit("whole", new_pipe(), 1, "whole")
    fit("killed", new_pipe(), 1, "killed", KILL_AT)
    resumed = fit("resumed", new_pipe(), 2, "killed")
    layers = [whole.vit.layers[0].mlp, whole.vit.layernorm] if framework == "huggingface" else [whole[2], whole[4]]
    return {**found, "weights": [weights(whole), weights(resumed)], "masks": masks(layers)}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=120))
    found = {framework: seen(framework, folder) for framework in FRAMEWORKS}
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
