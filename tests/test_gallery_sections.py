"""The gallery's images of what is done to batches, models and losses."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import augreg
from augreg import gallery
from augreg.errors import SpecError
from augreg.gallery import cards
from augreg.gallery.batches import batches
from augreg.gallery.own_steps import own_steps
from augreg.gallery.page import page
from augreg.gallery.photos import read
from augreg.gallery.strengths import title_of
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
        assert shown.count("<img ") == 1 + 3 + 1 + 4
        texts = captions(shown)
        assert (texts[0], texts[4]) == ("original", "left out")
        assert texts[1].startswith(("0.", "1.00 chelsea")) and "chelsea" in texts[1]
        if name != "copy_paste":  # the first photo with shares of one other that are near to 0.1, 0.3 and 0.5
            assert "by the share of the other image" in shown and "weak to strong" not in shown
            for words, share in zip(texts[1:4], (0.9, 0.7, 0.5), strict=True):
                assert words.endswith(("astronaut", "coffee", "rocket")) and words.split()[1] == "chelsea"
                assert abs(float(words.split()[0]) - share) < 0.06
        for words in [*texts[1:4], *texts[-4:]]:
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
    assert "At test time: nothing, it acts in training only." in card(text, "l2")


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


def test_a_step_that_does_nothing_at_test_time_says_no_number() -> None:
    words = captions(card(rendered("color_jitter"), "color_jitter"))
    # the original, three strengths, at test time, the mean, draws
    assert words[4] == "no change" and "brightness" in words[6]


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
    start = text.index('id="batches"')
    shown = text[start : text.index("</section>", start)]
    assert shown.count("<img ") == 2 * 2
    texts = captions(shown)
    assert all(" chelsea" in words and " coffee" in words for words in texts)
    pipeline = augreg.Pipeline.from_spec(spec)
    images = np.stack([pipeline.train(str(path), index=i, epoch=1) for i, path in enumerate((CAT, CUP))])
    _, labels = pipeline.batch(images, np.arange(2), keys=[0, 1], epoch=1)
    assert texts[2].startswith(f"{labels.weights[0, 0]:.2f} chelsea")
    assert "<small>batch</small> mixup" in text and "<small>loss</small> l2" in text


def test_the_model_and_the_loss_of_a_spec_are_shown_with_its_own_numbers() -> None:
    pytest.importorskip("torch")
    model: Any = [{"dropout": {"at": "layer4.**", "p": 0.75}}]
    spec = {"image": [], "model": model, "loss": [{"label_smoothing": 0.3}, {"l2": {"strength": 0.01}}]}
    pipeline = augreg.Pipeline.from_spec(spec)
    dropout, smoothing, l2 = own_steps(pipeline)
    assert (dropout.section, dropout.line) == ("model", "dropout: {at: layer4.**, p: 0.75}")
    test, *draws = dropout.tiles
    assert (test.heading, test.caption) == ("test time", "mean 1.00")
    zeros = [float(draw.caption.partition("% zero")[0]) / 100 for draw in draws]
    assert len(zeros) == 4 and all(abs(zero - 0.75) < 0.005 + 5 * (0.75 * 0.25 / 3136) ** 0.5 for zero in zeros)
    assert [tile.caption for tile in smoothing.tiles] == ["the label", "0.73 and 0.03"]  # 1 - 0.9 * 0.3, 0.3 / 10
    assert (l2.section, l2.tiles, l2.note) == ("loss", (), "")
    text = gallery.render(pipeline, [CAT])
    assert text.index('id="model"') < text.index("dropout: {at: layer4.**, p: 0.75}") < text.index("0.73 and 0.03")


def test_without_torch_the_model_says_why_it_has_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("augreg.gallery.own_steps.torch_installed", lambda: False)
    (step,) = own_steps(augreg.Pipeline.from_spec({"image": [], "model": [{"dropout": {"at": "head"}}]}))
    assert step.tiles == () and "PyTorch, which is not installed" in step.note


def test_a_mixed_batch_names_the_classes_of_its_images(tmp_path: Path) -> None:
    names = {}
    for number, name in enumerate(("ant/a.png", "ant/b.png", "bee/a.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (number * 100, 10, 10)).save(path)
        names[path] = name
    spec = {"image": [], "batch": [{"mixup": {"pairing": "roll"}}]}
    text = page(augreg.Pipeline.from_spec(spec), names, names=names).html
    words = [re.sub("[0-9.]+ ", "", caption) for caption in captions(text[text.index('id="batches"') :])]
    assert words == ["ant + bee", "bee + ant"] * 2
    assert text.count('class="photo"') == 2
    assert "1 more image is not shown: the page shows one image of each class" in text


@pytest.mark.parametrize(
    ("spec", "where", "said"),
    [
        ({"views": {"a": [{"resize": 20}]}}, "views", "a gallery is for one image, and this spec has several views"),
        ({"image": [], "targets": {"clip": True}}, "targets.clip", "a gallery is for single images, not clips"),
    ],
)
def test_views_and_clips_are_refused(spec: Any, where: str, said: str) -> None:
    with pytest.raises(SpecError, match=f"^{where}: {said}"):
        gallery.render(augreg.Pipeline.from_spec(spec), [CAT])


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("rotate", ""),
        *((name, "weak to strong") for name in ("jpeg", "color_jitter", "auto_contrast")),
        *((name, "examples") for name in ("auto_augment", "hsv_shift", "random_scale", "crop_or_pad")),
    ],
)
def test_previews_go_from_weak_to_strong_only_where_numbers_rule_the_strength(name: str, title: str) -> None:
    cls: Any = Registry.installed()[name]
    assert title_of(cls.__augreg__.preview, cls) == title


def test_images_of_several_sizes_make_no_batch_and_it_says_so() -> None:
    photos = read([CAT, CUP])
    mixing = augreg.Pipeline.from_spec({"image": ["invert"], "batch": ["mixup"]})
    assert [("same shape" in batch.error, batch.tiles) for batch in batches(mixing, photos)] == [(True, ())] * 2
    assert batches(augreg.Pipeline.from_spec(["invert"]), photos) == ()
    assert batches(mixing, photos[:1]) == ()  # one image has nothing to be mixed with
