"""The spec line of each step that the gallery, `augreg show` and the reference offer to copy: a sound start."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import augreg
from augreg import gallery
from augreg.__main__ import main
from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry
from augreg.steps.describe import example, line

CAT = Path(__file__).parents[1] / "gallery" / "photos" / "chelsea.jpg"
BUILT_IN = {name: cls for name, cls in Registry.installed().items() if "/" not in name}


def copied(name: str) -> str:
    """What the copy button of a card copies."""
    registry = Registry(Contributions({name: BUILT_IN[name], "invert": BUILT_IN["invert"]}))
    text = gallery.render(augreg.Pipeline.from_spec(["invert"]), [CAT], registry=registry)
    card = text[text.index(f'id="t-{name}"') :]
    found = re.search(r'<div class="copyable"><code>(.*?)</code>', card)
    assert found is not None
    return html.unescape(found[1])


def test_the_init_line_keeps_the_signal_of_a_deep_network(capsys: pytest.CaptureFixture[str]) -> None:
    """He et al. 2015: with relu, the mean square of the activations stays. Weights of std 0.01 halve it 40 times."""
    torch = pytest.importorskip("torch")
    text = copied("init")
    assert main(["show", "init"]) == 0
    assert text in capsys.readouterr().out
    assert f"\n{text}\n" in "".join(page.read_text() for page in (CAT.parents[2] / "docs/transforms").glob("*.md"))
    layers = [layer for _ in range(20) for layer in (torch.nn.Linear(256, 256), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers)
    torch.manual_seed(0)
    batch = torch.randn(64, 256)
    with augreg.Pipeline.from_spec({"model": yaml.safe_load(text)}).regularize(model), torch.no_grad():
        kept = float(model(batch).square().mean() / batch.square().mean())
    assert 0.1 < kept < 10
    spec: Any = {"model": [{"init": {"rule": "normal", "std": 0.01}}]}
    with augreg.Pipeline.from_spec(spec).regularize(model), torch.no_grad():
        assert float(model(batch).square().mean()) < 1e-30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("init", "- init: {rule: kaiming}"),
        ("auto_augment", "- auto_augment: {policy: imagenet}"),  # not the five examples of a figure
        ("rand_augment", "- rand_augment: {m: 9}"),  # n is 2: Cubuk et al. 2020, ImageNet
        ("trivial_augment_wide", "- trivial_augment_wide"),
        ("timm_policy", "- timm_policy: {policy: rand-m9-mstd0.5-inc1}"),  # what most of timm's recipes use
        ("confidence_penalty", "- confidence_penalty: {strength: 0.1}"),  # Pereyra et al. 2017: 0.1 to 1
        ("orthogonality", "- orthogonality: {strength: 0.0001}"),
        ("channel_drop", "- channel_drop: {count: 1}"),  # two of three channels would leave one
        ("solarize", "- solarize: {threshold: 128}"),
        ("dropout", "- dropout: {at: features.**, p: 0.5}"),  # Srivastava et al. 2014, hidden units
    ],
)
def test_lines_to_copy_have_the_usual_values(name: str, text: str) -> None:
    assert line(name, BUILT_IN[name]) == text


def test_no_line_to_copy_has_the_strongest_of_several_previews() -> None:
    several = {name: cls for name, cls in BUILT_IN.items() if len(cls.__augreg__.preview) > 1}
    assert len(several) > 40
    assert [name for name, cls in several.items() if example(cls) == cls.__augreg__.preview[-1]] == []
