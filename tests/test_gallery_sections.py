"""The gallery's images of what is done to batches, models and losses."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import gallery
from augreg.gallery import cards
from augreg.gallery.batches import batches
from augreg.gallery.photos import read
from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry
from augreg.steps.declare import batch_transform, regularizer
from augreg.steps.selectors import At

PHOTOS = Path(__file__).parents[1] / "gallery" / "photos"
CAT, CUP = PHOTOS / "chelsea.jpg", PHOTOS / "coffee.jpg"


@batch_transform("lost", preview=({},))
class Lost:
    """Fails whenever it is asked."""

    def sample(self, rng: Any, count: Any, scene: Any) -> Any:
        raise RuntimeError("no partner in /srv/batch.py")


@regularizer("stubborn", preview=({"at": "head"},))
class Stubborn:
    """Refuses every module."""

    at: At

    def attach(self, site: Any) -> Any:
        raise ValueError("it has no corners")


@regularizer("needy")
class Needy:
    """Needs an argument that nobody can guess."""

    at: At

    def attach(self, site: Any) -> Any:
        return None


def rendered(*names: str, added: tuple[type, ...] = (), spec: Any = ("invert",), images: Any = (CAT,)) -> str:
    installed = Registry.installed()
    registry = Registry(Contributions({name: installed[name] for name in ("invert", *names)}))
    for cls in added:
        registry = registry.add(cls)
    return gallery.render(augreg.Pipeline.from_spec(spec), images, registry=registry)


def card(text: str, name: str) -> str:
    start = text.index(f'id="t-{name}"')
    return text[start : text.index("</article>", start)]


def captions(text: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r'<span class="words" title="([^"]*)"', text)]


def test_a_batch_is_shown_mixed_with_the_weights_of_its_labels() -> None:
    text = rendered("cutmix", "mixup", "copy_paste")
    for name in ("cutmix", "mixup", "copy_paste"):
        shown = card(text, name)
        previews = Registry.installed()[name].__augreg__.preview
        assert shown.count("<img ") == 1 + len(previews) + 1 + 4
        texts = captions(shown)
        assert (texts[0], texts[len(previews) + 1]) == ("original", "left out")
        assert texts[1].startswith(("0.", "1.00 chelsea")) and "chelsea" in texts[1]
        for words in [*texts[1 : len(previews) + 1], *texts[-4:]]:
            weights = [float(part.split()[0]) for part in words.split(" + ")]
            assert sum(weights) == pytest.approx(1, abs=0.011)
        assert len({words.split(" + ")[0].split()[1] for words in texts[-4:]}) == 4  # each image names itself first
        assert "in the section <code>batch</code>" in shown
    assert text.index('id="t-invert"') < text.index('id="t-cutmix"') < text.index('id="t-mixup"')


def test_the_same_inputs_give_the_same_bytes_and_leave_torch_alone() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(7)
    names = ("mixup", "dropout", "label_smoothing")
    once = rendered(*names)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(7)))
    torch.manual_seed(8)
    assert rendered(*names) == once


def test_regularizers_are_shown_on_feature_maps() -> None:
    pytest.importorskip("torch")
    text = rendered("dropout", "stochastic_depth", "l2")
    shown = card(text, "dropout")
    previews = Registry.installed()["dropout"].__augreg__.preview
    texts = captions(shown)
    assert shown.count("<img ") == len(texts) == len(previews) + 1 + 4
    assert texts[len(previews)] == "mean 1.00"  # at test time
    zeros = [float(words.partition("% zero")[0]) / 100 for words in texts[: len(previews)]]
    for fraction, preview in zip(zeros, previews, strict=True):
        deviation = (preview["p"] * (1 - preview["p"]) / 3136) ** 0.5
        assert abs(fraction - preview["p"]) < 0.005 + 5 * deviation  # the caption is rounded to a hundredth
    assert card(text, "stochastic_depth").count("<img ") >= 6
    assert "in the section <code>model</code>" in shown
    assert "<img " not in card(text, "l2")
    assert "training only" in card(text, "l2")
    assert '<details class="about" open>' in card(text, "l2")


def test_without_torch_a_step_that_augreg_does_not_have_says_why_it_has_no_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cards, "torch_installed", lambda: False)
    text = rendered("mixup", added=(Stubborn,))
    assert "No images: they need torch, which is not installed." in card(text, "stubborn")
    assert "<img " not in card(text, "stubborn")
    assert "- stubborn: " in card(text, "stubborn")
    assert card(text, "mixup").count("<img ") >= 7


def test_a_target_is_shown_before_and_after() -> None:
    pytest.importorskip("torch")
    texts = captions(card(rendered("label_smoothing"), "label_smoothing"))
    smoothing = [preview["smoothing"] for preview in Registry.installed()["label_smoothing"].__augreg__.preview]
    assert texts == ["the label", *(f"{1 - 0.9 * e:.3g} and {e / 10:.3g}" for e in smoothing)]


def test_what_fails_gets_a_card_that_says_so() -> None:
    pytest.importorskip("torch")
    text = rendered("invert", added=(Lost, Stubborn, Needy))
    assert "This transform failed.</b>" in card(text, "lost") and "no partner in batch.py" in card(text, "lost")
    assert "This regularizer failed.</b> it cannot be attached to any model" in card(text, "stubborn")
    assert "it has no corners" in card(text, "stubborn")
    assert "it requires <code>at</code> and has no example" in card(text, "needy")
    assert card(text, "invert").count("<img ") >= 4


def test_a_pipeline_that_mixes_shows_its_batches() -> None:
    crop = {"random_resized_crop": 48}
    spec = {"image": [crop, {"normalize": "imagenet"}], "batch": [{"mixup": {"pairing": "roll"}}], "loss": ["l2"]}
    text = rendered("invert", spec=spec, images=[CAT, CUP])
    start = text.index('aria-label="mixed batches"')
    shown = text[start : text.index("</article>", start)]
    assert shown.count("<img ") == 3 * 2
    texts = captions(shown)
    assert all(" chelsea" in words and " coffee" in words for words in texts)
    pipeline = augreg.Pipeline.from_spec(spec)
    images = np.stack([pipeline.train(str(path), index=i, epoch=2) for i, path in enumerate((CAT, CUP))])
    _, labels = pipeline.batch(images, np.arange(2), keys=[0, 1], epoch=2)
    assert texts[4].startswith(f"{labels.weights[0, 0]:.2f} chelsea")
    assert "<small>batch</small> mixup" in text and "<small>loss</small> l2" in text


def test_images_of_several_sizes_make_no_batch_and_it_says_so() -> None:
    photos = read([CAT, CUP])
    mixing = augreg.Pipeline.from_spec({"image": ["invert"], "batch": ["mixup"]})
    assert [("same shape" in batch.error, batch.tiles) for batch in batches(mixing, photos)] == [(True, ())] * 3
    assert batches(augreg.Pipeline.from_spec(["invert"]), photos) == ()
    assert batches(mixing, photos[:1]) == ()  # one image has nothing to be mixed with
