"""The gallery: one self-contained page that shows everything, with the same bytes for the same inputs."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from PIL import Image

import augreg
from augreg import gallery, ops
from augreg.backends import choose
from augreg.gallery.catalogue import _backend_of_cards
from augreg.gallery.photo_rows import row
from augreg.gallery.photos import Photo
from augreg.gallery.step_by_step import stages
from augreg.gallery.sweep import QuantileCursor, at_quantile
from augreg.registry.discovery import Contributions
from augreg.registry.registry import PluginRecord, Registry
from augreg.rng import address_of

CAT = Path(__file__).parents[1] / "gallery" / "photos" / "chelsea.jpg"


def small_registry(*names: str) -> Registry:
    """A few of the transforms: pages of all of them take seconds."""
    installed = Registry.installed()
    return Registry(Contributions({name: installed[name] for name in names}))


@augreg.transform("<b>odd</b>", kind="color", preview=({"amount": 0.25}, {"amount": 1.0}))
class Odd:
    """A <script>alert(1)</script> from a `plugin`.

    What it says in /home/somebody/plugins/odd.py is its own affair.
    """

    amount: float = 0.5

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.point_function("brightness", self.amount)


@augreg.transform("faulty", kind="texture")
class Faulty:
    """Fails whenever it is asked."""

    def sample(self, rng: Any, scene: Any) -> Any:
        raise RuntimeError("no lens in /opt/camera/lens.cfg")


@augreg.transform("needy", kind="geometry")
class Needy:
    """Needs an argument that nobody can guess."""

    shape: str

    def sample(self, rng: Any, scene: Any) -> Any:
        return ()


def halved(array: np.ndarray) -> np.ndarray:
    return array[: array.shape[0] // 2]


@augreg.transform("halve", kind="geometry")
class Halve:
    """Leaves a size that is known only once it ran."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(halved, geometry=True)


@pytest.fixture(scope="module", autouse=True)
def _means_of_fewer_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("catalogue", "cards", "means"):
            patch.setattr(f"augreg.gallery.{module}.MEAN_DRAWS", 16)  # 256 take as long as all else
        yield


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The page with the whole catalogue, which takes seconds: once for all processes of a parallel run."""
    parallel = hasattr(request.config, "workerinput")
    folder = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("gallery")
    out, made = folder / "gallery.html", folder / "gallery.made"
    try:
        (folder / "gallery.lock").mkdir()
    except FileExistsError:
        for _ in range(600):
            if made.exists():
                return out
            time.sleep(0.2)
        pytest.fail("the page was not made by another process in two minutes")
    code = gallery.main(["--catalogue", "--images", str(CAT), str(CAT.with_name("coffee.jpg")), "--out", str(out)])
    made.touch()
    assert code == 0
    return out


SPEC = """\
image: [{random_resized_crop: 64}, horizontal_flip, {cutout: {p: 0.5}}]
batch: [mixup]
model: [{dropout: {at: head}}]
loss: [l2]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all sections, a few cards, and a broken image, as the command writes it."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "broken.jpg").write_bytes(CAT.read_bytes()[:2000])
    (folder / "mine.yaml").write_text(SPEC)
    few = ("rotate", "cutout", "random_erasing", "random_resized_crop", "horizontal_flip", "mixup", "dropout", "l2")
    registry = small_registry(*few, "invert", "auto_augment", "affine", "resize", "center_crop")
    arguments = ["--catalogue", "--spec", str(folder / "mine.yaml"), "--out", str(folder / "page.html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "installed", classmethod(lambda cls: registry))
        images = [str(CAT), str(CAT.with_name("astronaut.jpg")), str(folder / "broken.jpg")]
        assert gallery.main([*arguments, "--images", *images]) == 1  # one image failed
    return folder / "page.html"


def card(text: str, name: str) -> str:
    """The part of a page that shows one transform."""
    start = text.index(f'id="t-{html.escape(name)}"')
    return text[start : text.index("</article>", start)]


def test_page_shows_every_registered_transform(page: Path) -> None:
    text = page.read_text("utf-8")
    for name in Registry.installed():
        shown = card(text, name)
        assert " failed.</b>" not in shown, name
        if Registry.installed()[name].__augreg__.sections[0] in ("image", "batch"):
            assert shown.count("<img ") >= 4, name  # its strength, the test-time image, and draws


def test_page_is_small_and_makes_no_requests(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(text) < 5_500_000
    sources = re.findall(r'(?:src|srcset|href|action|poster)="([^"]*)"', text)
    assert len(sources) > 300
    assert [source for source in sources if not source.startswith(("data:", "#"))] == []
    assert "default-src 'none'" in text
    assert str(page.parent) not in text
    assert str(Path.cwd()) not in text


def test_sections_are_labeled_for_screen_readers(small: Path) -> None:
    """ARIA spells `labelledby` with two l's; a browser silently ignores any other spelling."""
    text = small.read_text("utf-8")
    labels = re.findall(r'aria-labelledby="([^"]*)"', text)
    assert len(labels) >= 3
    assert all(f'id="{label}"' in text for label in labels)
    known = {"aria-hidden", "aria-label", "aria-labelledby"}
    assert set(re.findall(r"\b(aria-[a-z]+)=", text)) <= known


def test_broken_image_is_shown_with_its_reason(small: Path) -> None:
    text = small.read_text("utf-8")
    start = text.index('aria-label="broken.jpg"')
    shown = text[start : text.index("</article>", start)]
    assert "This image cannot be read" in shown
    assert "broken.jpg: cannot be read: " in shown
    assert "<img " not in shown


def test_every_spec_line_can_be_used(page: Path) -> None:
    text = page.read_text("utf-8")
    lines = re.findall(r'<div class="copyable"><code>(.*?)</code>', text)
    assert len(lines) == len(Registry.installed())
    for name in Registry.installed():
        (line,) = re.findall(r'<div class="copyable"><code>(.*?)</code>', card(text, name))
        section = Registry.installed()[name].__augreg__.sections[0]
        pipeline = augreg.Pipeline.from_spec({section: yaml.safe_load(html.unescape(line))})
        assert section != "image" or pipeline.train(CAT, index=0) is not None, line


def test_same_inputs_give_the_same_bytes_and_another_seed_others() -> None:
    registry = small_registry("rotate", "cutout", "random_erasing", "horizontal_flip")
    pipeline = augreg.Pipeline.from_spec(["horizontal_flip", "rotate"], registry)
    once = gallery.render(pipeline, [CAT], registry=registry)
    assert gallery.render(pipeline, [str(CAT)], seed=0, registry=registry) == once
    other = gallery.render(pipeline, [CAT], seed=1, registry=registry)
    assert "seed 1<" in other
    assert re.findall(r"rotate -?[\d.]+°", other) != re.findall(r"rotate -?[\d.]+°", once)


def test_stages_end_at_what_the_pipeline_gives() -> None:
    pipeline = augreg.Pipeline.from_spec(
        [
            {"random_resized_crop": 96},
            "horizontal_flip",
            {"some_of": {"steps": ["rotate", "solarize", {"one_of": ["hue", "invert"]}], "count": 2}},
            {"color_jitter": {"brightness": 0.4, "contrast": 0.4}},
            {"normalize": "imagenet"},
            {"cutout": {"size": 0.5, "p": 0.5}},
        ]
    )
    photo = np.asarray(Image.open(CAT))
    for index in range(8):
        walked = stages(pipeline, photo, address_of(0, index, 3))
        last = [stage.array for stage in walked if stage.array is not None][-1]
        np.testing.assert_array_equal(last.transpose(2, 0, 1), pipeline.train(photo, index=index, epoch=3))
    names = [stage.name for stage in stages(pipeline, photo, None)]
    assert names == [
        "random_resized_crop", "horizontal_flip", "some_of", "brightness", "contrast", "normalize", "cutout",
    ]  # fmt: skip


def test_stages_continue_after_a_step_of_unknown_size() -> None:
    registry = small_registry("horizontal_flip", "center_crop", "sequential").add(Halve)
    pipeline = augreg.Pipeline.from_spec(
        [{"sequential": ["halve", {"horizontal_flip": {"p": 1}}]}, {"center_crop": 60}], registry
    )
    photo = np.asarray(Image.open(CAT))
    walked = stages(pipeline, photo, address_of(0, 0))
    assert [stage.name for stage in walked] == ["halve", "horizontal_flip", "center_crop"]
    assert [stage.array.shape[:2] for stage in walked if stage.array is not None] == [
        (150, 451),
        (150, 451),
        (60, 60),
    ]
    np.testing.assert_array_equal(walked[-1].array, pipeline.train(photo, index=0))


def test_captions_say_what_changed_the_image_alone() -> None:
    steps = ["horizontal_flip", {"color_jitter": {"brightness": 0.4}}, {"normalize": "imagenet"}]
    spec = {"image": steps, "output": "numpy"}
    photo = Photo("cat", np.asarray(Image.open(CAT)))
    found = row(augreg.Pipeline.from_spec(spec), photo, 0)
    assert found.test is not None and found.test.caption == "no change"  # a brightness of 1, and normalization undone
    assert {re.sub(r"[\d.]+", "N", draw.caption) for draw in found.draws} == {
        "brightness N", "flip left-right, brightness N",
    }  # fmt: skip
    assert (found.size, len(found.walkthroughs)) == ("451×300", 2)
    assert [tile.caption for tile in found.walkthroughs[0].tiles] == ["", "left out", "no change", ""]


def test_a_step_by_step_walk_names_what_was_not_applied() -> None:
    pipeline = augreg.Pipeline.from_spec([{"rotate": {"p": 0}}, {"invert": {"test": "off"}}])
    photo = np.asarray(Image.open(CAT))
    assert [stage.caption for stage in stages(pipeline, photo, address_of(0, 0))] == ["not applied", "invert"]
    assert [stage.caption for stage in stages(pipeline, photo, None)] == ["left out", "left out"]


def test_quantiles_run_through_every_kind_of_draw() -> None:
    low, middle, high = QuantileCursor(0.0), QuantileCursor(0.5), QuantileCursor(1.0)
    assert [q.uniform(-2.0, 4.0) for q in (low, middle, high)] == [-2.0, 1.0, 4.0]
    assert [q.integers(5) for q in (low, middle, high)] == [0, 2, 4]
    assert [q.sign() for q in (low, high)] == [-1, 1]
    assert [q.choice([0.0, 1.0, 2.0, 0.0]) for q in (low, middle, high)] == [1, 2, 2]
    assert [q.permutation(3) for q in (low, middle, high)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    assert [q.bernoulli(0.3) for q in (low, middle, high)] == [False, False, True]
    assert low.normal(1.0, 2.0) < 1.0 == middle.normal(1.0, 2.0) < high.normal(1.0, 2.0)
    assert high.bits() == 2**64 - 1
    assert 0.99 < high.random() < 1.0
    with pytest.raises(ValueError, match="10000 draws at one quantile; give the transform a `preview`"):
        while True:
            middle.random()


def test_a_sweep_draws_every_number_at_the_same_place() -> None:
    from augreg.backends import backend
    from augreg.transforms.color import ColorJitter

    photo = np.asarray(Image.open(CAT))
    message = []
    for at in (0.0, 1.0):
        _, done = at_quantile(ColorJitter((0.5, 1.5), (0.8, 1.2)), photo, at, backend("pillow"))
        message.append(sorted(str(op) for op in done))
    assert message == [["brightness 0.50", "contrast 0.80"], ["brightness 1.50", "contrast 1.20"]]


def test_a_class_added_by_hand_is_shown_with_its_text_escaped() -> None:
    registry = small_registry("invert").add(Odd)
    text = gallery.render(augreg.Pipeline.from_spec(["invert"], registry), [CAT], registry=registry)
    shown = card(text, "<b>odd</b>")
    assert "added in code" in shown
    assert "amount: 0.25" in shown
    assert "A &lt;script&gt;alert(1)&lt;/script&gt; from a <code>plugin</code>." in shown
    assert "<b>odd" not in text
    assert "<script>alert" not in text


def test_a_transform_that_fails_gets_an_error_card_and_spoils_nothing() -> None:
    registry = small_registry("invert").add(Faulty).add(Needy)
    text = gallery.render(augreg.Pipeline.from_spec(["invert"], registry), [CAT], registry=registry)
    shown = card(text, "faulty")
    assert "This transform failed.</b> no lens in lens.cfg" in shown
    assert "Fails whenever it is asked." in shown
    assert "it requires <code>shape</code> and has no example" in card(text, "needy")
    assert card(text, "invert").count("<img ") == 4


def test_a_pipeline_that_fails_on_a_photo_says_so_below_it() -> None:
    registry = small_registry("invert").add(Faulty)
    text = gallery.render(augreg.Pipeline.from_spec(["invert", "faulty"], registry), [CAT])
    start = text.index('aria-label="chelsea.jpg"')
    shown = text[start : text.index("</article>", start)]
    assert shown.count("no lens in lens.cfg") >= 6
    assert shown.count("<img ") == 4  # the original and the test-time image without the step, and its walkthrough


def test_plugins_that_did_not_load_are_reported() -> None:
    installed = Registry.installed()
    failed = PluginRecord("rain", "augreg-rain", "0.3", error="ImportError: no <drops> in /srv/lib/rain.py")
    fine = PluginRecord("snow", "augreg-snow", "1.0", ("snow/flakes",))
    targets: dict[str, Any] = {
        "invert": installed["invert"],
        "snow/flakes": Odd,
        "snow/gone": "augreg_snow.gone:Gone",
    }
    registry = Registry(Contributions(targets), (failed, replace(fine)))
    text = gallery.render(augreg.Pipeline.from_spec(["invert"], registry), [CAT], registry=registry)
    assert "The plugin rain (augreg-rain 0.3) failed to load.</b> ImportError: no &lt;drops&gt; in rain.py" in text
    assert "augreg-snow 1.0" in card(text, "snow/flakes")
    assert "augreg_snow.gone:Gone does not load" in card(text, "snow/gone")


def test_normalized_images_are_shown_as_they_were() -> None:
    from augreg.images.thumbnails import viewable

    photo = np.asarray(Image.open(CAT))
    pipeline = augreg.Pipeline.from_spec([{"normalize": "imagenet"}])
    normalize = pipeline.test.plan(photo.shape[:2]).ops[-1]
    floats = pipeline.test(photo).transpose(1, 2, 0)
    shown, note = viewable(floats, normalize)
    np.testing.assert_array_equal(shown, photo)
    assert note == ""
    shown, note = viewable(floats)
    assert (shown.min(), shown.max()) == (0, 255)
    assert re.fullmatch(r"floats from -\d\.\d\d to \d\.\d\d, stretched for viewing", note)


@pytest.mark.parametrize("channels", ["gray", "keep"])
def test_images_of_other_channels_and_kinds_are_shown(channels: str) -> None:
    registry = small_registry("invert")
    pipeline = augreg.Pipeline.from_spec({"channels": channels, "image": ["invert"]}, registry)
    translucent = Image.new("RGBA", (40, 30), (200, 10, 10, 128))
    floats = np.linspace(0, 1, 40 * 30 * 3, dtype=np.float32).reshape(30, 40, 3)
    text = gallery.render(pipeline, [translucent, floats, b"no image"])
    assert text.count("This image cannot be read") == 1
    for name in ("image 1", "image 2"):
        start = text.index(f'aria-label="{name}"')
        assert text[start : text.index("</article>", start)].count("<img ") == 8 + 2 * 2


def test_many_images_are_cut_short_and_it_says_so() -> None:
    pipeline = augreg.Pipeline.from_spec(["invert"], small_registry("invert"))
    text = gallery.render(pipeline, [np.full((8, 8, 3), value, np.uint8) for value in range(11)])
    assert text.count('class="photo"') == 8
    assert "3 more images are not shown" in text


def test_command_writes_whole_files_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("seed: 3\nimage: [invert]\n")
    assert gallery.main(["--spec", "mine.yaml", "--images", str(CAT)]) == 0
    assert capsys.readouterr().out.startswith("wrote gallery.html (")
    text = Path("gallery.html").read_text("utf-8")
    assert "<title>mine.yaml – augreg gallery</title>" in text
    assert "seed 3<" in text
    assert "What mine.yaml does to images" in text and 'id="catalogue"' not in text
    assert {path.name for path in tmp_path.iterdir()} == {"mine.yaml", "gallery.html"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--spec", "imagnet"], 2, "did you mean 'imagenet'"),
        (["--spec", "wrong.yaml"], 1, "wrong.yaml:2: image[0].rotate.degree: rotate has no field 'degree'; did you"),
        (["--images", "nowhere.jpg"], 2, "nowhere.jpg: no such file or folder"),
        (["--images", "."], 2, ".: no images in it or below it"),
    ],
)
def test_command_refuses_with_a_reason(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("image:\n  - rotate: {degree: 3}\n")
    assert gallery.main(arguments) == code
    assert message in capsys.readouterr().err
    assert not Path("gallery.html").exists()


def test_command_refuses_an_invalid_seed(capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        gallery.main(["--seed", "-1"])
    assert stopped.value.code == 2
    assert "expected a whole number from 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "why"),
    [
        (".", ". is a folder; give a file in it"),
        ("nowhere/gallery.html", "there is no folder nowhere; make it first"),
    ],
)
def test_command_refuses_an_output_that_is_no_file(out: str, why: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        gallery.main(["--out", out])
    assert stopped.value.code == 2
    assert f"--out {out}: {why}" in capsys.readouterr().err


def test_importing_the_gallery_loads_no_array_library() -> None:
    program = "import augreg.gallery, sys; sys.exit(bool({'numpy', 'PIL', 'jinja2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# In a real browser.


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Opens a page; fails on any message in the console and any request for something else than the page."""
    problems: list[str] = []
    contexts = []

    def open_page(page: Path, **options: Any) -> Any:
        def asked(url: str) -> None:
            if not url.startswith("data:") and url.partition("#")[0] != page.as_uri():
                problems.append(f"request: {url[:200]}")

        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: problems.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: problems.append(f"error: {error}"))
        tab.on("request", lambda request: asked(request.url))
        tab.goto(page.as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def test_the_whole_catalogue_fits_a_phone_closed_and_open(opened: Any, page: Path) -> None:
    tab = opened(page, viewport={"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.evaluate("document.documentElement.scrollHeight") < 4 * 800  # of two photos
    images = tab.evaluate(
        """async () => {
             document.querySelectorAll('details').forEach((part) => { part.open = true; });
             return Promise.all([...document.images].map(async (image) => {
               await image.decode();
               return [image.naturalWidth, image.getClientRects().length, (image.getAttribute("alt") || "").trim()];
             }));
           }"""
    )
    assert len(images) > 300
    assert all(natural > 0 and boxes and alt for natural, boxes, alt in images)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_page_fits_and_says_little(opened: Any, small: Path, width: int, scheme: str) -> None:
    tab = opened(small, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    background, ink = tab.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    bright = [sum(map(int, re.findall(r"\d+", color)[:3])) / 3 for color in (background, ink)]
    assert (bright[0] > 200 and bright[1] < 80) if scheme == "light" else (bright[0] < 60 and bright[1] > 180)
    lines = tab.evaluate(
        """[...document.querySelectorAll(".tile .words")].filter((one) => one.getClientRects().length)
             .map((one) => one.offsetHeight / parseFloat(getComputedStyle(one).lineHeight))"""
    )
    assert len(lines) >= 8 and max(lines) < 2.1
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    for link in tab.locator("a[href^='#']").all():
        name = unquote(link.get_attribute("href"))[1:]
        assert tab.evaluate("(name) => document.getElementById(name) !== null", name), name


@pytest.mark.parametrize("width", [320, 1280])
def test_every_section_is_one_tap_away(opened: Any, small: Path, width: int) -> None:
    tab = opened(small, viewport={"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    names = tab.locator(".bar nav a").all_inner_texts()
    assert names == ["augreg", "Images", "Batches", "Model", "Catalogue"]
    for name in names[1:]:
        tab.locator(".bar nav").get_by_text(name, exact=True).click()  # it stays in sight
        title = tab.locator(f"#{name.lower()}-title")
        bar = tab.locator(".bar").bounding_box()
        assert bar["y"] + bar["height"] <= title.bounding_box()["y"] < 800  # below the bar, and not out of sight


def test_images_are_there_without_script(opened: Any, small: Path) -> None:
    tab = opened(small, java_script_enabled=False)
    assert tab.locator(".row img").first.is_visible()
    assert not tab.locator("#filter").is_visible()
    tab.locator("#g-geometry summary").first.click()
    assert tab.locator("#t-rotate img").first.is_visible()


def test_an_image_enlarges_by_mouse_and_by_keyboard(opened: Any, small: Path) -> None:
    tab = opened(small, viewport={"width": 390, "height": 800})
    frames = tab.locator(".row .frame")
    narrow = frames.nth(1).bounding_box()["width"]
    frames.nth(1).click()
    shown = tab.locator("#zoom")
    assert shown.is_visible() and shown.locator("img").bounding_box()["width"] > 3 * narrow
    said = shown.inner_text()
    assert "at test time" in said and "crop 64×64" in said  # the phone has no room for it beside the small image
    tab.keyboard.press("ArrowRight")
    assert "epoch 0" in shown.inner_text()
    tab.keyboard.press("Escape")
    assert not shown.is_visible()
    assert frames.nth(2).evaluate("(frame) => frame === document.activeElement")
    tab.keyboard.press("Enter")
    assert shown.is_visible()
    shown.get_by_role("button", name="close").click()
    assert not shown.is_visible()


def test_the_filter_opens_the_groups_of_what_it_finds(opened: Any, small: Path) -> None:
    from playwright.sync_api import expect

    tab = opened(small, viewport={"width": 1280, "height": 800})
    assert tab.locator(".card:visible").count() == 2  # of the model and of the loss; the groups are closed
    tab.keyboard.press("/")
    tab.keyboard.type("ROTATE angle")
    assert tab.locator(".group .card:visible h3").all_inner_texts() == ["rotate"]
    assert tab.locator("#count").inner_text() == "1 of 13 shown."
    tab.keyboard.press("Escape")
    assert tab.locator(".group .card:visible").count() == 0
    tab.locator("#filter").fill("erasing")
    assert set(tab.locator(".group .card:visible h3").all_inner_texts()) >= {"cutout", "random_erasing"}
    tab.locator("#filter").fill("nothing of this name")
    tab.get_by_role("button", name="Show all").click()
    assert tab.locator(".group:visible").count() > 4
    tab.evaluate("location.hash = '#t-mixup'")  # a link opens the group of its card
    expect(tab.locator("#t-mixup img").first).to_be_visible()


@pytest.mark.parametrize("clipboard", ["kept", "gone", "refusing"])
def test_copy_button_copies_the_spec_line(opened: Any, small: Path, clipboard: str) -> None:
    from playwright.sync_api import expect

    tab = opened(small, permissions=["clipboard-read", "clipboard-write"])
    if clipboard != "kept":
        tab.evaluate(
            """(kind) => {
                 const real = navigator.clipboard;
                 window.readBack = () => real.readText();
                 const refusing = { writeText: () => Promise.reject(new Error("denied")) };
                 Object.defineProperty(navigator, "clipboard", { value: kind === "gone" ? undefined : refusing });
               }""",
            clipboard,
        )
    tab.locator("#g-geometry > summary").click()
    tab.get_by_role("button", name="copy the spec line of rotate", exact=True).click()
    button = tab.locator("#t-rotate .copy")
    expect(button).to_have_text("copied")
    read = "window.readBack()" if clipboard != "kept" else "navigator.clipboard.readText()"
    assert tab.evaluate(read) == "- rotate: {degrees: [-30, 30]}"
    if clipboard == "kept":
        expect(button).to_have_text("copy")


def test_step_by_step_unfolds_by_keyboard(opened: Any, small: Path) -> None:
    tab = opened(small, viewport={"width": 1280, "height": 800})
    summary = tab.locator(".walks summary").first
    assert not tab.locator(".walk img").first.is_visible()
    summary.focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".walk img").first.is_visible()
    assert "random_resized_crop" in tab.locator(".walk").first.inner_text()


def test_cards_have_the_backend_of_the_pipeline_unless_their_registry_lacks_it() -> None:
    bare, rain = Registry(Contributions()), Registry(Contributions(backends={"rain/fast": "x:y"}))
    pipe = augreg.Pipeline.from_spec([], rain, backend="pillow")
    assert _backend_of_cards(pipe, bare) == "pillow"
    assert _backend_of_cards(pipe.replace(backend="rain/fast"), rain) == "rain/fast"
    assert _backend_of_cards(pipe.replace(backend="rain/fast"), bare) == choose("auto")
