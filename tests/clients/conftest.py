"""Tests beside real torchvision, timm and others: `make clients` runs them in an environment of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # models have random weights: nothing is downloaded

# Warnings are errors here too, except these, which the libraries raise in code of their own.
OTHERS_WARN = (
    "ignore:`torch.jit.:DeprecationWarning",
    "ignore:`torch.jit.:FutureWarning",
    "ignore::DeprecationWarning:(torch|torchvision|timm|transformers|lightning|accelerate|datasets|ray)(\\.|$)",
    "ignore::FutureWarning:(torch|torchvision|timm|transformers|lightning|accelerate|datasets|ray)(\\.|$)",
)


RAY_NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


def pytest_configure(config: pytest.Config) -> None:
    for line in OTHERS_WARN:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of one node with one CPU, whose processes find the modules of this folder."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **RAY_NODE})
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def second_node(cluster: Any) -> Iterator[Any]:
    """Another node of the cluster, with one CPU."""
    node = cluster.add_node(**RAY_NODE)
    yield node
    cluster.remove_node(node)
