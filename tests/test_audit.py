"""The audit of test-time rules, against enumerated masks and views."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import augreg  # noqa: E402
from augreg.expectation.auditing.audit import audit  # noqa: E402
from augreg.expectation.auditing.metrics import log_losses  # noqa: E402
from augreg.expectation.auditing.rows import Collected  # noqa: E402
from augreg.expectation.auditing.sampling import SampledMean  # noqa: E402

FLIP = {"image": ["horizontal_flip", {"normalize": {"mean": 0.5, "std": 0.25}}], "output": "torch"}


class Columns(nn.Module):
    """Two classes: the logit of the first is the mean of the left column, that of the second a constant."""

    def __init__(self, side: int = 0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.side = side

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.scale * x[:, 0, :, self.side].mean(1)
        return torch.stack([first, torch.zeros_like(first)], 1)


class Symmetric(nn.Module):
    """Adds +1.5 or -1.5 to a logit of 0 in training: the mean probability is that without noise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = 3.0 * (torch.rand(len(x)) < 0.5) - 1.5 if self.training else torch.zeros(len(x))
        return torch.stack([noise, -noise], 1) * 0.5 + 0.0 * x[:, :2]


def images_of(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (2, 4, 1), dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def dropped():
    """A network of one dropped input layer, its inputs and labels, and its probabilities over all 16 masks."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3)).double()
    with torch.no_grad():
        model[1].weight *= 5.0
    inputs = torch.randn(60, 4, dtype=torch.float64)
    masks = torch.tensor(list(itertools.product((0.0, 2.0), repeat=4)), dtype=torch.float64)
    with torch.no_grad():
        each = torch.stack([model[1](inputs * mask).softmax(1) for mask in masks]).numpy()
        fast = model[1](inputs).softmax(1).numpy()
    labels = np.random.default_rng(0).integers(0, 3, 60)
    return model, inputs, labels, each, fast


@pytest.fixture(scope="module")
def audited(dropped):
    """The row of its audit."""
    model, inputs, labels, _, _ = dropped
    return audit(model, inputs, labels, samples=512)["Dropout at 0"]


def test_dropout_against_all_masks(dropped, audited) -> None:
    _, _, labels, each, fast = dropped
    mean, row = each.mean(0), audited
    wanted = math.sqrt(np.square(mean - fast).sum(1).mean() / 2)
    assert row.distance == pytest.approx(wanted, rel=0.05)
    assert row.low < wanted < row.high
    assert (row.images, row.samples, row.exact) == (60, 512, False)
    changed = int((mean.argmax(1) != fast.argmax(1)).sum())
    assert abs(row.changed - changed) <= 2
    assert row.agreement == 1 - row.changed / 60
    assert row.fast.log_loss == pytest.approx(log_losses(fast, labels).mean())
    assert row.mean.log_loss == pytest.approx(log_losses(mean, labels).mean(), rel=0.02)
    assert row.fast.accuracy == (fast.argmax(1) == labels).mean()
    assert row.loss_difference.value == pytest.approx(row.mean.log_loss - row.fast.log_loss)
    assert row.accuracy_difference.value == pytest.approx(row.mean.accuracy - row.fast.accuracy)
    assert row.wrong_to_right - row.right_to_wrong == round(60 * row.accuracy_difference.value)


def test_the_error_of_a_mean_falls_as_one_over_the_root_of_n(dropped, audited) -> None:
    each, row = dropped[3], audited
    one = math.sqrt(each.var(0).sum(1).mean() / 2)
    assert list(row.curve) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    for n in (1, 4, 16, 64, 256):
        assert row.curve[n] == pytest.approx(one / math.sqrt(n), rel=0.25)
    assert row.sampling_error == pytest.approx(one / math.sqrt(512), rel=0.25)
    assert row.needed == pytest.approx(9 * one**2 / row.distance**2, rel=0.1)


def test_an_exact_rule_is_not_off_by_the_noise_of_the_mean() -> None:
    row = audit(Symmetric(), torch.zeros(200, 3), samples=16).rows[0]
    # the standard deviation of the probability is 0.318; a mean of 16 is off by about 0.08
    assert row.sampling_error == pytest.approx(0.318 / 4, rel=0.2)
    assert row.distance < 0.03
    assert row.low == 0.0


def test_a_flip_has_two_views_and_is_exact() -> None:
    model, images = Columns(), images_of(40)
    pipe = augreg.Pipeline.from_spec(FLIP)
    with torch.no_grad():
        both = torch.stack([torch.stack([pipe.test(image), pipe.test(image).flip(2)]) for image in images])
        probabilities = torch.stack([model(both[:, side]).softmax(1) for side in (0, 1)]).double().numpy()
    wanted = math.sqrt(np.square(probabilities[1] - probabilities[0]).sum(1).mean() / 4 / 2)
    found = audit(model, images, pipe=pipe, samples=16)
    row = found["horizontal_flip#0"]
    assert row.exact and row.samples == row.needed == 2
    assert row.distance == pytest.approx(wanted, rel=1e-5)
    assert row.changed == (probabilities.mean(0).argmax(1) != probabilities[0].argmax(1)).sum()
    assert row.verdict.action == "change"
    assert "use the mean over views (2 of them)" in row.sentence
    assert found.to_change == ("horizontal_flip#0",)
    assert [view.weight for view in found.examples] == [0.5, 0.5]
    assert found.examples[1].probability == pytest.approx(float(probabilities[1, 0].max()), rel=1e-5)
    np.testing.assert_array_equal(found.examples[1].image, images[0][:, ::-1])


def test_views_count_by_their_weights() -> None:
    distances = {}
    for p in (0.5, 0.25):
        steps = [{"horizontal_flip": {"p": p}}, FLIP["image"][1]]
        pipe = augreg.Pipeline.from_spec({**FLIP, "image": steps})
        distances[p] = audit(Columns(), images_of(4), pipe=pipe, samples=4).rows[0].distance
    assert distances[0.25] == pytest.approx(distances[0.5] / 2)


def test_the_halves_have_draws_of_their_own() -> None:
    pipe = augreg.Pipeline.from_spec({**FLIP, "image": [{"brightness": 0.9}, FLIP["image"][1]]})
    row = audit(Columns(), images_of(4), pipe=pipe, samples=8)["brightness#0"]
    assert row.sampling_error > 0.0


def test_no_forward_pass_has_more_rows_than_allowed() -> None:
    sizes = []

    class Counted(Columns):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            return super().forward(x)

    pipe = augreg.Pipeline.from_spec({**FLIP, "image": ["d4", FLIP["image"][1]]})
    images = [np.random.default_rng(number).integers(0, 256, (4, 4, 1), dtype=np.uint8) for number in range(30)]
    audit(Counted(), images, pipe=pipe, samples=8, batch_size=16)
    assert max(sizes) == 16


def test_views_and_noise_together_take_no_more_samples_than_given() -> None:
    pipe = augreg.Pipeline.from_spec({**FLIP, "image": ["d4", FLIP["image"][1]]})
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 2))
    images = [np.full((4, 4, 1), 9, np.uint8)]
    assert audit(model, images, pipe=pipe, samples=16)["image steps and model"].samples == 16


def test_what_a_row_says_by_hand() -> None:
    first = np.array([[0.7, 0.3], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
    second = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.6, 0.4]])
    fast = np.array([[0.5, 0.5], [0.6, 0.4], [0.6, 0.4], [0.7, 0.3]])
    found = Collected("x", "image steps", "views ({samples})")
    found.add(fast, SampledMean(first, second, np.full(4, 0.02), 4, 16, {2: np.full(4, 0.04)}, False), None)
    row = found.row(0, 15, 0.01)
    assert row is not None
    # differences of the first class: 0.2 0.4, -0.2 -0.4, -0.3 0.0, 0.1 -0.1
    square = (0.08 + 0.08 + 0.0 - 0.01) / 4
    error = np.std([0.08, 0.08, 0.0, -0.01], ddof=1) / 2
    assert row.distance == pytest.approx(math.sqrt(square))
    assert row.low == 0.0
    assert row.high == pytest.approx(math.sqrt(square + 1.959964 * error))
    assert row.standard_error == pytest.approx((math.sqrt(square + error) - math.sqrt(max(0, square - error))) / 2)
    # means of 0.8, 0.3, 0.45 and 0.7: the second and third differ from 0.6, and the halves of the third disagree
    assert (row.changed, row.unsure, row.agreement) == (2, 1, 0.5)
    # two views each: 9 * 0.02 / square observations
    assert row.needed == 2 * math.ceil(0.18 / square)
    assert row.curve == {2: pytest.approx(0.2)}
    # squared differences of the halves: 0.04, 0.04, 0.09, 0.04 for each class
    assert row.sampling_error == pytest.approx(math.sqrt(0.21 / 4 / 4))


def test_what_does_not_matter_is_exact() -> None:
    class Total(Columns):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.double() + x.double().flip(3))

    row = audit(Total(), images_of(4), pipe=augreg.Pipeline.from_spec(FLIP)).rows[0]
    assert (row.distance, row.changed, row.verdict.action) == (0.0, 0, "keep")
    assert row.sentence.startswith("horizontal_flip#0: the fast rule (identity) is exact; 0 of 4 predictions change")


def test_drawn_steps_and_the_model_have_rows_alone_and_together() -> None:
    torch.manual_seed(1)
    spec = {"image": ["horizontal_flip", {"brightness": 0.4}, {"normalize": {"mean": 0.5, "std": 0.25}}]}
    pipe = augreg.Pipeline.from_spec({**spec, "output": "torch"})
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    found = audit(model, images_of(10), pipe=pipe, samples=8)
    assert [row.name for row in found.rows] == [
        "Dropout at 1",
        "Dropout at 4",
        "all noise of the model",
        "horizontal_flip#0",
        "brightness#0",
        "all image steps",
        "image steps and model",
        "moments",
    ]
    assert all(0.0 < row.distance < 0.5 for row in found.rows if row.kind == "image steps")
    assert found["brightness#0"].samples == 8 and not found["brightness#0"].exact
    assert found["moments"].sentence.startswith("moments: one pass of moments is")


def test_lists_datasets_batches_and_loaders_give_the_same(dropped) -> None:
    model, inputs, labels, _, _ = dropped
    pairs = [(each, int(label)) for each, label in zip(inputs, labels, strict=True)]
    loader = torch.utils.data.DataLoader(pairs, batch_size=7)
    mappings = [{"image": each, "label": label} for each, label in pairs]

    class Dataset:
        def __len__(self) -> int:
            return len(pairs)

        def __getitem__(self, index: int):
            return pairs[range(len(pairs))[index]]

    wanted = audit(model, inputs, labels, samples=8).as_dict()
    for given in (pairs, Dataset(), loader, mappings, iter(pairs)):
        found = audit(model, given, samples=8).as_dict()
        assert {**found, "seconds": 0} == {**wanted, "seconds": 0}
    other = audit(model, pairs, samples=8, seed=1).as_dict()
    assert other["rows"] != wanted["rows"]


def test_the_model_and_the_generators_are_as_before(dropped) -> None:
    model, inputs, labels, _, _ = dropped
    model.train()
    model[1].eval()
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    audit(model, inputs[:5], labels[:5], samples=4)
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_a_time_limit_ends_with_the_first_images(dropped) -> None:
    model, inputs, labels, _, _ = dropped
    found = audit(model, inputs, labels, samples=4, time_limit=1e-9)
    assert found.images == 8 and found.rows[0].images == 8
    assert "the time limit ended the audit after 8 of 60 images" in found.notes


def test_rows_without_time_are_named() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2), nn.Dropout(0.5))
    found = audit(model, torch.randn(3, 4), samples=4, time_limit=1e-9)
    assert [row.name for row in found.rows] == ["Dropout at 0"]
    assert "not examined within the time limit: Dropout at 2" in found.notes


def test_progress_says_what_is_done(dropped) -> None:
    model, inputs, _, _, _ = dropped
    seen = []
    audit(model, inputs, samples=4, progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert seen[:3] == [("Dropout at 0", 0, 60), ("Dropout at 0", 8, 60), ("Dropout at 0", 24, 60)]


def test_batch_norm_that_is_off_gets_a_row() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    inputs = 3.0 * torch.randn(64, 2) + torch.tensor([4.0, 0.0])
    found = audit(model, inputs, (inputs[:, 0] > 4).long())
    row = found["batch norm, 1 of 1 layers off"]
    half = inputs[::2]
    layer = nn.BatchNorm1d(2).eval()
    layer.running_mean, layer.running_var = half.mean(0), half.var(0)
    with torch.no_grad():
        model.eval()
        difference = model[1](layer(inputs[1::2])).softmax(1) - model(inputs[1::2]).softmax(1)
    assert row.images == 32
    assert row.distance == pytest.approx(math.sqrt(float(difference.square().sum(1).mean()) / 2), rel=0.01)
    accuracy = (model(inputs[1::2]).argmax(1) == (inputs[1::2, 0] > 4)).double().mean()
    assert model[0].running_mean.tolist() == [0.0, 0.0]
    assert row.sentence.startswith(f"{row.name}: what the running statistics give is ")
    assert row.sentence.endswith(("recalibration has the better likelihood.", "may be chance."))
    assert row.fast is not None and row.fast.accuracy == float(accuracy)
    layer.running_mean, layer.running_var = inputs.mean(0), inputs.var(0)
    model[0] = layer
    found = audit(model, inputs)
    assert not found.rows
    assert found.sentences == (
        "batch norm, 1 layer: the running statistics are those of the test images; keep them.",
    )


def test_learned_weights_where_the_other_view_is_better() -> None:
    images = images_of(120)
    # right is what the flipped image shows on the left
    labels = [int(image[:, 3].mean() < 127.5) for image in images]
    found = audit(Columns(), images, labels, augreg.Pipeline.from_spec(FLIP), samples=4)
    assert found.weights is not None and found.weights.is_better
    assert found.weights.weights[1] > 0.9
    assert found.weights.names[1].startswith("horizontal_flip")
    assert any(line.startswith("learned view weights") for line in found.sentences)


def test_the_text_fits_100_columns_and_the_data_is_json(dropped) -> None:
    model, inputs, labels, _, _ = dropped
    model = nn.Sequential(nn.Identity(), nn.ModuleDict({"a_very_long_name_of_a_module_in_here": model})[
        "a_very_long_name_of_a_module_in_here"
    ])  # fmt: skip
    found = audit(model, inputs, labels, samples=8)
    assert max(map(len, str(found).splitlines())) <= 100
    assert "Dropout at 1.0: the fast rule is" in str(found)
    assert repr(found) == str(found)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["rows"][0]["name"] == "Dropout at 1.0"
    json.dumps(audit(model, inputs[:1], samples=4).as_dict(), allow_nan=False)
    assert "Dropout at 1.0" in found._repr_html_()
    with pytest.raises(KeyError, match="no row is named 'x'; the rows are Dropout at 1"):
        found["x"]


def test_what_has_no_moments_and_what_is_not_attached_is_said() -> None:
    class Sorted(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).sort(1).values.cumsum(1)

    pipe = augreg.Pipeline.from_spec({**FLIP, "model": [{"dropout": {"p": 0.5, "at": "1"}}]})
    model = Sorted(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 2))
    found = audit(model, images_of(3), pipe=pipe, samples=4)
    assert any(note.startswith("no moments: there is no rule for") for note in found.notes)
    assert any("call pipe.regularize(model)" in note for note in found.notes)
    assert "moments" not in [row.name for row in found.rows]
    with pipe.regularize(model):
        attached = audit(model, images_of(3), pipe=pipe, samples=4)
    assert not any("pipe.regularize" in note for note in attached.notes)


def test_nothing_random_is_said() -> None:
    found = audit(nn.Linear(2, 2), torch.randn(3, 2))
    assert found.notes == ("nothing is random in the model",) and not found.rows


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: audit(lambda x: x, torch.zeros(1, 2)), TypeError, "expected the model"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(1, 2), pipe=[]), TypeError, "pipe must be a Pipeline, got list"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(1, 2), samples=3), ValueError, "at least 4"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(1, 2), time_limit=0), ValueError, "time_limit is in seconds"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(1, 2), tolerance=1.0), ValueError, "tolerance"),
        (lambda: audit(nn.Linear(2, 2), []), ValueError, "there are no images"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(2, 2), [0]), ValueError, "more images than labels: 1 labels"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(1, 2), [0, 1]), ValueError, "more labels than images"),
        (lambda: audit(nn.Linear(2, 2), torch.zeros(1, 2), [[0.5, 0.5]]), TypeError, "a label is a class number"),
        (lambda: audit(nn.Dropout(), torch.zeros(1, 2), [2]), ValueError, "labels are between 0 and 1"),
        (lambda: audit(nn.Dropout(), torch.zeros(1, 2, 2)), ValueError, "needs class scores, images x classes"),
        (lambda: audit(nn.Linear(2, 2), np.zeros((1, 2), np.uint8)), TypeError, "got torch.uint8 of 2; give pipe="),
        (lambda: audit(nn.Dropout(), [(torch.zeros(2), 1), torch.zeros(2)]), ValueError, "only 1 have labels"),
    ],
)
def test_wrong_arguments_are_refused(call, error, says: str) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("images", ["photos", Image.new("RGB", (4, 4))])
def test_one_image_or_a_folder_is_no_list_of_images(images: Any) -> None:
    with pytest.raises(TypeError, match="images must be a list, a dataset or a DataLoader"):
        augreg.audit(nn.Linear(2, 2), images)


def test_a_distance_estimated_as_0_has_a_standard_error() -> None:
    fast = np.full((3, 2), 0.5)
    shift = np.array([[0.1, -0.1], [0.11, -0.11], [0.12, -0.12]])
    ones = np.ones(3)
    collected = Collected("dropout", "model noise", "the mean")
    collected.add(fast, SampledMean(fast + shift, fast - shift, ones, 2, 4, {}, False), None)
    row = collected.row(0, 15, 0.01)
    assert row is not None and row.distance == 0.0
    # the squares are estimated as -0.0100, -0.0121 and -0.0144
    assert row.standard_error == pytest.approx((np.std([0.0100, 0.0121, 0.0144], ddof=1) / 3**0.5) ** 0.5)
