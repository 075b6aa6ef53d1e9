"""The plots of a lecture: the numbers that they show, worked out by formulas; the files; and the command."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageOps

pytest.importorskip("matplotlib")
torch = pytest.importorskip("torch")

from augreg.__main__ import main  # noqa: E402
from augreg.data import sample_photo  # noqa: E402
from augreg.inspect import plots  # noqa: E402
from augreg.inspect.plots import (  # noqa: E402
    activation_functions,
    batch_statistics,
    images,
    masks,
    scaling,
    signals,
    stopping,
    weights,
)
from augreg.inspect.plots.signals import SCHEMES  # noqa: E402
from augreg.pages.svg import COLORS, DARK  # noqa: E402

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/lecture"
SVG = "{http://www.w3.org/2000/svg}"
SLOW = "initializations"  # six layers of 4096 units, for five initializations
LARGEST = 60_000  # bytes of a file


# What is flat, and where


def test_slopes_are_those_of_finite_differences() -> None:
    x = np.linspace(-6, 6, 61) + 0.013  # not at 0, where some of the functions have a kink
    for name in activation_functions.NINE:
        _, slope = activation_functions.curve(name, x)
        (left, _), (right, _) = (activation_functions.curve(name, x + step) for step in (-1e-5, 1e-5))
        assert np.allclose(slope, (right - left) / 2e-5, atol=1e-6), name


def test_functions_have_their_values() -> None:
    """At -2 and 2, by the formulas of the papers; GELU is x times the normal distribution function."""
    normal = 0.5 * (1 + math.erf(2 / math.sqrt(2)))
    selu, alpha = 1.0507009873554805, 1.6732632423543772
    known = {
        "sigmoid": (1 / (1 + math.e**2), 1 / (1 + math.e**-2)),
        "tanh": (-math.tanh(2), math.tanh(2)),
        "relu": (0, 2),
        "leaky_relu": (-0.2, 2),
        "prelu": (-0.5, 2),
        "gelu": (-2 * (1 - normal), 2 * normal),
        "elu": (math.exp(-2) - 1, 2),
        "selu": (selu * alpha * (math.exp(-2) - 1), 2 * selu),
        "maxout": (1, 2),
    }
    assert set(known) == set(activation_functions.NINE)
    for name, values in known.items():
        assert activation_functions.curve(name, np.array([-2.0, 2.0]))[0] == pytest.approx(values, abs=1e-7), name


def test_ends_are_flat_where_the_slope_stays_below_a_limit() -> None:
    """s (1 - s) = 0.02 at ln(s / (1 - s)), s = (1 + sqrt(0.92)) / 2; 1 - tanh^2 = 0.02; exp(x) = 0.02."""
    x = np.linspace(-6, 6, 2401)
    s = (1 + math.sqrt(0.92)) / 2
    sigmoid, tanh, elu = math.log(s / (1 - s)), math.atanh(math.sqrt(0.98)), math.log(0.02)
    known = {
        "sigmoid": [(-6, -sigmoid), (sigmoid, 6)],
        "tanh": [(-6, -tanh), (tanh, 6)],
        "relu": [(-6, 0)],
        "elu": [(-6, elu)],
        "leaky_relu": [],
        "maxout": [],
    }
    for name, ends in known.items():
        found = activation_functions.flat_ends(x, activation_functions.curve(name, x)[1], 0.02)
        assert np.array(found).ravel() == pytest.approx(np.array(ends).ravel(), abs=0.0101), name
    # GELU has a slope of 0 at its minimum near -0.75 too, which is no end
    ((low, high),) = activation_functions.flat_ends(x, activation_functions.curve("gelu", x)[1], 0.02)
    assert low == -6 and -2.9 < high < -2.6
    assert activation_functions.flat_ends(x, 0 * x, 0.02) == [(-6.0, 6.0)]


def test_a_function_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected some of sigmoid, tanh, .*, got swish$"):
        plots.activations(["relu", "swish"])
    assert [axes.get_title(loc="left") for axes in plots.activations(["silu", "mish"]).axes] == ["SiLU", "Mish"]


# Data and signals


def test_pixels_are_centered_and_scaled() -> None:
    given = np.asarray(Image.open(sample_photo("coffee")), np.float64).reshape(-1, 3) / 255
    plain, centered, normalized = scaling.scaled_pixels(sample_photo("coffee"))
    assert np.abs(plain - given).max() < 1e-6
    assert np.abs(centered - (given - given.mean(0))).max() < 1e-5
    assert np.abs(normalized - (given - given.mean(0)) / given.std(0)).max() < 1e-5


def expected_stds(scheme: signals.Scheme, width: int, depth: int) -> list[float]:
    """The standard deviations of a network that is infinitely wide, by the variance of the weights of a layer."""
    gains = {"kaiming": 2.0, "xavier": 1.0}
    rule = scheme.init["rule"]
    gain = width * rule["normal"] ** 2 if isinstance(rule, dict) else gains[rule]
    nodes, parts = np.polynomial.hermite_e.hermegauss(200)  # integrals over N(0, 1)
    parts = parts / parts.sum()
    function = np.tanh if scheme.activation == "tanh" else lambda x: np.maximum(0, x)
    square, stds = 1.0, []
    for _ in range(depth):
        outputs = function(math.sqrt(gain * square) * nodes)
        square, mean = parts @ outputs**2, parts @ outputs
        stds.append(math.sqrt(square - mean**2))
    return stds


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.title.partition(":")[0])
def test_signals_shrink_and_last_as_theory_says(scheme: signals.Scheme) -> None:
    width = 512
    init = dict(scheme.init)
    if isinstance(init["rule"], dict):  # the same variance of the sums as with 4096 units
        init["rule"] = {"normal": init["rule"]["normal"] * math.sqrt(4096 / width)}
    scaled = scheme._replace(init=init)
    layers = signals.outputs_by_layer(scaled, width, 6, 64, seed=1)
    expected = expected_stds(scaled, width, 6)
    for number, (layer, std) in enumerate(zip(layers, expected, strict=True)):
        assert layer.statistics.std == pytest.approx(std, rel=0.03 + 0.01 * number)
        assert layer.statistics.std == pytest.approx(layer.outputs.numpy().std(), rel=1e-4)


def test_every_layer_has_weights_of_its_own() -> None:
    """What tanh got is the product of its layer's input and weights, so that the weights can be found again."""
    first, second = signals.outputs_by_layer(signals.Scheme("", {"rule": {"normal": 0.3}}, "tanh"), 8, 2, 64, seed=0)
    given = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    weight = torch.linalg.lstsq(given, first.outputs.atanh()).solution
    other = torch.linalg.lstsq(first.outputs, second.outputs.atanh()).solution
    for each in (weight, other):
        assert each.std() == pytest.approx(0.3, rel=0.4)
    assert (weight - other).abs().max() > 0.3


def test_relus_halve_the_signal_of_xavier_weights_and_keep_that_of_kaiming() -> None:
    """E[relu(z)^2] is half of E[z^2]: the sixth standard deviation is 2^(-5/2) of the first, or the same."""
    xavier, kaiming = (expected_stds(scheme, 4096, 6) for scheme in SCHEMES[3:])
    assert xavier[5] / xavier[0] == pytest.approx(2**-2.5, rel=1e-3)
    assert kaiming[0] == pytest.approx(kaiming[5], rel=1e-3) == pytest.approx(math.sqrt(1 - 1 / math.pi), rel=2e-3)


def test_histograms_leave_out_the_half_of_the_outputs_that_is_zero() -> None:
    figure = plots.initializations(width=64, depth=2, samples=64)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [scheme.title for scheme in SCHEMES]
    for axes in figure.axes[3:]:
        for bars in axes.patches:
            counts = bars.get_data().values
            assert counts[0] < 2 * counts[1] and counts.max() == 1


@pytest.mark.soak
def test_the_plot_of_initializations_is_current(tmp_path: Path) -> None:
    (drawing,) = (each for each in plots.LECTURE if each.name == SLOW)
    drawn = texts(drawing.save(tmp_path))
    assert drawn == texts(FOLDER / drawing.file)
    shown = [float(text.removeprefix("std ")) for text in drawn if re.fullmatch(r"(std )?\d\.\d\d", text)]
    expected = [std for scheme in SCHEMES for std in expected_stds(scheme, 4096, 6)]
    assert shown == pytest.approx(expected, abs=0.02)


# Regularizers


def test_l2_makes_weights_small_as_ridge_regression_does() -> None:
    """The minimum of the mean square and s w^2 is at (X'X / n + s) w = X'y / n."""
    x, y = (each.double().numpy() for each in weights.linear_data(0))
    for strength in (0.0, 0.5):
        found = weights.trained_weights([{"l2": strength}] if strength else [], 0)
        expected = np.linalg.solve(x.T @ x / 60 + strength * np.eye(30), x.T @ y / 60)
        assert found == pytest.approx(expected, abs=0.02)


def test_l1_makes_weights_zero_where_their_gradient_is_below_its_strength() -> None:
    """The conditions of the minimum: the gradient of the error is -s sign(w), or within s where w is zero."""
    x, y = (each.double().numpy() for each in weights.linear_data(0))
    found = weights.trained_weights([{"l1": 0.5}], 0)
    gradient = 2 * x.T @ (x @ found - y) / 60
    zero = np.abs(found) < 0.01
    assert 20 <= zero.sum() < 30 and not zero[:5].any()
    assert gradient[~zero] == pytest.approx(-0.5 * np.sign(found[~zero]), abs=0.03)
    assert (np.abs(gradient[zero]) < 0.53).all()


def test_training_stops_some_epochs_after_the_best_and_would_have_gone_on_falling() -> None:
    curves = stopping.training_curves(10, 60, seed=0)
    assert curves.stopped is not None
    seen = curves.validation[: curves.stopped + 1]
    assert curves.best == int(np.argmin(seen)) == curves.stopped - 10
    assert curves.best > 5 and curves.validation[-1] > 1.2 * min(seen)
    assert curves.training == sorted(curves.training, reverse=True)
    assert stopping.training_curves(10, 3, seed=0).stopped is None


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_dropout_scales_in_training_or_in_testing(keep: float) -> None:
    units = np.linspace(0.3, 1, 8)
    for mode, in_training, in_testing in (("original", 1, keep), ("inverted", 1 / keep, 1)):
        training, mean, testing = masks.dropout_outputs(mode, keep, seed=0)
        assert testing == pytest.approx(in_testing * units, abs=1e-12)
        assert ((training == 0) | np.isclose(training, in_training * units)).all()
        error = in_training * units * math.sqrt(keep * (1 - keep) / 2000)
        assert (np.abs(mean - testing) < 4.9 * error).all()
    titles = [axes.get_title(loc="left") for axes in plots.dropout(keep).axes]
    assert f"inverted, training: × 1/{keep}" in titles and f"vanilla, testing: × {keep}" in titles


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.dropout(0.0), "dropout: keep is a probability above 0 and at most 1, got 0.0"),
        (lambda: plots.drop_connect(1.5), "drop_connect: keep is a probability above 0 and at most 1, got 1.5"),
        (lambda: plots.stochastic_depth(blocks=0), "stochastic_depth: blocks must be at least 1, got 0"),
        (lambda: plots.early_stopping(epochs=0), "early_stopping: epochs must be at least 1, got 0"),
        (lambda: plots.initializations(depth=0), "initializations: depth must be at least 1, got 0"),
        (lambda: plots.preprocessing(points=0), "preprocessing: points must be at least 1, got 0"),
        (lambda: plots.batch_norm(draws=1), "batch_norm: draws must be at least 2, got 1"),
        (lambda: plots.batch_norm([1, 4]), r"batch_norm: the batches need two or more images, got \[1, 4\]"),
        (lambda: plots.mixup(lam=1.5), "mixup.lam: expected float <= 1.0, got 1.5"),
        (lambda: plots.auto_augment("imagenett"), "did you mean"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_dropout_keeps_units_and_drop_connect_keeps_weights() -> None:
    kept = [masks.kept_parts(0.7, seed) for seed in range(60)]
    assert np.mean([units for units, _ in kept]) == pytest.approx(0.7, abs=4.9 * math.sqrt(0.21 / 300))
    assert np.mean([mask for _, mask in kept]) == pytest.approx(0.7, abs=4.9 * math.sqrt(0.21 / 1200))
    assert any(0 < column.sum() < 4 for column in kept[0][1].T)  # single weights, not all of a unit


def test_blocks_live_as_often_as_their_depth_says() -> None:
    """Block l of 12 has 1 - l / 12 (1 - 0.5): 8.75 are expected to live."""
    live = masks.live_blocks(12, 0.5, 300, seed=3)
    chances = 1 - np.arange(1, 13) / 24
    assert (np.abs(live.mean(0) - chances) < 4.9 * np.sqrt(chances * (1 - chances) / 300)).all()
    assert "8.75 blocks expected" in plots.stochastic_depth(passes=2).axes[0].get_title(loc="left")


@pytest.mark.parametrize("size", [64, 256])
def test_batch_norm_scatters_by_the_size_of_the_batch(size: int) -> None:
    """A mean has the variance 1 / n, a deviation 1 / (2 n): together (1 + x^2 / 2) / n, for x = 1."""
    training, testing = batch_statistics.normalized_among_others(size, 400, seed=0)
    assert training.std() == pytest.approx(math.sqrt(1.5 / size), rel=0.2)
    assert testing == pytest.approx(1, abs=0.05)
    assert training.mean() == pytest.approx(testing, abs=0.03)


# Images


def test_forty_percent_of_one_photo_and_sixty_of_another() -> None:
    (cat, coffee), mixture, label = images.mixed([sample_photo(), sample_photo("coffee")], 0.4)
    assert label == pytest.approx([0.4, 0.6])
    assert np.abs(0.4 * cat.astype(float) + 0.6 * coffee - mixture).max() <= 0.51
    titles = [
        axes.get_title() for axes in plots.mixup(photos={"a": sample_photo(), "b": sample_photo("rocket")}).axes
    ]
    assert titles == ["a: 1", "b: 1", "a: 0.4, b: 0.6"]
    with pytest.raises(ValueError, match=r"expected two photos .* got 1"):
        plots.mixup(photos={"a": sample_photo()})


def test_the_sub_policies_are_those_of_the_figure() -> None:
    """The original in the first row; a sub-policy whose ops are left out leaves the photo as it is."""
    figure = plots.auto_augment()
    rows = [figure.axes[start : start + 4] for start in range(0, 24, 4)]
    assert [row[0].texts[0].get_text() for row in rows[1:]] == [
        "sub-policy 1\nShearX, 0.9, 7\nInvert, 0.2, 3",
        "sub-policy 2\nShearY, 0.7, 6\nSolarize, 0.4, 8",
        "sub-policy 3\nShearX, 0.9, 4\nAutoContrast, 0.8, 3",
        "sub-policy 4\nInvert, 0.9, 3\nEqualize, 0.6, 3",
        "sub-policy 5\nShearY, 0.8, 5\nAutoContrast, 0.7, 3",
    ]
    shown = [[np.asarray(axes.images[0].get_array()) for axes in row[1:]] for row in rows]
    for photo, original, inverted in zip(("chelsea", "coffee", "rocket"), shown[0], shown[4], strict=True):
        fitted = ImageOps.fit(Image.open(sample_photo(photo)), (88, 88), Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(fitted, float) - original).mean() < 12  # as large, and of the same place
        plain = Image.fromarray(original)
        among = [plain, ImageOps.equalize(plain), ImageOps.invert(plain), ImageOps.equalize(ImageOps.invert(plain))]
        assert any(np.array_equal(np.asarray(each), inverted) for each in among)
    assert sum(not np.array_equal(row[k], shown[0][k]) for row in shown[1:] for k in range(3)) >= 12


def test_every_row_of_the_table_has_draws_of_its_own() -> None:
    figure = plots.auto_augment("Rotate,1,9\n" * 4, [sample_photo()])
    shown = {np.asarray(axes.images[0].get_array()).tobytes() for axes in figure.axes[3::2]}
    assert len(shown) == 2  # to the left, or to the right


def test_the_squares_are_receptive_fields() -> None:
    """1 + the sum of (k - 1) times the strides before, for AlexNet; fc6 reads a map of 6 x 6."""
    field, stride, expected = 1, 1, []
    for kernel, step in ((11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2), (6, 1)):
        field += (kernel - 1) * stride
        stride *= step
        expected.append(field)
    photo, names = plots.receptive_fields().axes
    assert [text.get_text().partition(" ")[2] for text in names.texts] == [f"{size}×{size}" for size in expected]
    squares = [line.get_xydata() for line in photo.lines[1::2]]
    for square, size in zip(squares[:7], expected, strict=False):  # the last two are clipped at the border
        assert np.ptp(square, axis=0) == pytest.approx([size, size])
    assert np.ptp(squares[-1], axis=0) == pytest.approx([227, 227])


# Files and the command


def texts(path: Path) -> list[str]:
    """The words of an SVG file, in order."""
    return [element.text or "" for element in ElementTree.parse(path).iter(f"{SVG}text")]


def test_the_files_are_current_small_and_for_light_and_dark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [drawing.name for drawing in plots.LECTURE]
    torch.manual_seed(5)
    generator = torch.get_rng_state()
    assert main(["plots", "--out", str(tmp_path / "new"), *(name for name in names if name != SLOW)]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(path).name for path in written] == [each.file for each in plots.LECTURE if each.name != SLOW]
    plots.initializations(width=8, depth=2, samples=2)
    assert torch.equal(torch.get_rng_state(), generator)  # plots must not change a training run
    page = (FOLDER / "README.md").read_text()
    for drawing in plots.LECTURE:
        assert f"]({drawing.file})" in page and f"augreg plots {drawing.name} " in page
        committed, made = FOLDER / drawing.file, tmp_path / "new" / drawing.file
        for path in [committed] if drawing.name == SLOW else [committed, made]:
            assert path.stat().st_size < LARGEST, path
            root = ElementTree.parse(path).getroot()
            assert [each.text for each in root[:2]] == [drawing.title, drawing.description]
            assert "prefers-color-scheme:dark" in (root[2].text or "")
            assert next(root.iter(f"{SVG}path")).get("class") == "fill-card" and root.get("width") == "540"
            for element in root.iter():
                assert "style" not in element.attrib and "image/png" not in str(element.attrib)
                assert element.get("fill", "none") in ("none", "#000000")  # other colors are classes
        if drawing.name != SLOW:
            assert texts(made) == texts(committed), drawing.name


def test_the_colors_are_those_of_the_pages() -> None:
    css = "".join((ROOT / f"augreg/pages/{name}.css").read_text() for name in ("base", "report"))
    light, dark = {}, {}
    for block in re.findall(r"(@media \(prefers-color-scheme: dark\) \{\s*)?:root \{(.*?)\}", css, re.DOTALL):
        (dark if block[0] else light).update(re.findall(r"--(\w+): (#\w+);", block[1]))
    assert {name: light[name] for name in COLORS} == COLORS
    assert {name: dark[name] for name in DARK} == DARK


def test_the_list_and_what_the_command_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["plots", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [each.name for each in plots.LECTURE]

    def refused(*arguments: Any) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["plots", *map(str, arguments)])
        assert ended.value.code == 2
        return capsys.readouterr().err

    assert "there is no plot 'mixip'; did you mean 'mixup'?; --list" in refused("mixip", "--out", tmp_path)
    assert "--out DIR, or --list" in refused("mixup")
    (tmp_path / "file").touch()
    assert "expected a folder" in refused("mixup", "--out", tmp_path / "file")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plots", "mixup", "--out", str(tmp_path)]) == 2
    assert "pip install 'augreg[plots]'" in capsys.readouterr().err
