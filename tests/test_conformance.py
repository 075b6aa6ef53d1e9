"""The conformance kit: our steps pass, and each check fails on a step that is broken in that way."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from broken_transforms import BROKEN, BROKEN_BATCHES, UNUSUAL, Crashing, Reading, Small, Unkeyed

import augreg
from augreg import Registry, SoftLabels
from augreg.backends import Backend
from augreg.batch.mixer import Mixer
from augreg.rng import Cursor
from augreg.testing import batch_transforms, check_transform, image_transforms
from augreg.testing.__main__ import main
from augreg.testing.plugins import check_plugin
from augreg.testing.step_under_test import step_under_test

IMAGE = Registry.installed().section("image")
OURS = [name for name in IMAGE if "/" not in name]
BATCH = [name for name, cls in Registry.installed().section("batch").items() if not cls.__augreg__.container]


@pytest.mark.parametrize("name", OURS)
def test_our_transforms_pass(name: str) -> None:
    """With the last preview; test_targets.py has the first two, and test_properties.py draws arguments."""
    check_transform(IMAGE[name], IMAGE[name].__augreg__.preview[-1:] or None)


@pytest.mark.soak
@pytest.mark.parametrize("name", OURS)
def test_our_transforms_pass_with_every_preview(name: str) -> None:
    check_transform(IMAGE[name])


@pytest.mark.parametrize("name", BATCH)
def test_our_batch_transforms_pass(name: str) -> None:
    check_transform(Registry.installed()[name])


@pytest.mark.parametrize(("check", "cls"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_check_fails_on_what_is_broken(check: str, cls: type) -> None:
    with pytest.raises(AssertionError, match="; "):
        image_transforms.CHECKS[check](step_under_test(cls))


@pytest.mark.parametrize("cls", UNUSUAL)
def test_what_is_unusual_passes(cls: type) -> None:
    check_transform(cls)


@pytest.mark.parametrize("name", ["rotate", "affine", "pad"])
def test_a_white_border_is_no_figure(name: str) -> None:
    arguments = {"padding": 8, "fill": 255} if name == "pad" else {"degrees": 30, "fill": 255}
    check_transform(IMAGE[name], arguments)


def test_whatever_is_raised_is_reported_with_the_check() -> None:
    with pytest.raises(AssertionError, match=r"^dtypes_and_sizes: .*too small"):
        check_transform(Small)
    with pytest.raises(AssertionError, match=r"^previews_run: SpecError: .*expected"):
        check_transform(IMAGE["rotate"], {"degrees": "many"})
    with pytest.raises(AssertionError, match=r"^is_a_value: it mixes in another way after pickling"):
        check_transform(Unkeyed)


def test_a_process_that_dies_is_reported_and_does_not_harm_the_next() -> None:
    with pytest.raises(AssertionError, match="the spawned process died; end no process in a transform"):
        image_transforms.CHECKS["pickles"](step_under_test(Crashing))
    image_transforms.CHECKS["pickles"](step_under_test(IMAGE["invert"]))


def test_from_a_script_that_is_no_file_no_process_can_be_spawned() -> None:
    code = """
from augreg import Registry
from augreg.testing.image_transforms import CHECKS
from augreg.testing.step_under_test import step_under_test
try:
    CHECKS["pickles"](step_under_test(Registry.installed()["invert"]))
except AssertionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable], input=code, capture_output=True, text=True, check=True)
    assert "the spawned process died; so does any spawned process: it" in done.stdout


def test_reading_a_global_generator_is_found_too() -> None:
    with pytest.raises(AssertionError, match="it reads a global generator"):
        image_transforms.CHECKS["global_generators"](step_under_test(Reading))


def test_a_step_that_is_always_applied_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cursor, "bernoulli", lambda self, p: True)
    monkeypatch.setattr(augreg.pipeline, "choose", lambda *_: "pillow")  # others may have a cursor of their own
    with pytest.raises(AssertionError, match="with p: 0"):
        image_transforms.CHECKS["never_applied_is_identity"](step_under_test(IMAGE["invert"]))
    with pytest.raises(AssertionError, match="with p: 0"):
        batch_transforms.CHECKS["never_applied_is_identity"](step_under_test(Registry.installed()["mixup"]))


def test_a_backend_that_goes_its_own_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    apply = Backend.apply
    monkeypatch.setattr(
        Backend,
        "apply",
        lambda self, op, image: apply(self, op, image[..., ::-1] if self.name == "opencv" else image),
    )
    with pytest.raises(AssertionError, match="the backends differ"):
        image_transforms.CHECKS["backends_agree"](step_under_test(IMAGE["invert"]))


def test_a_backend_that_is_lighter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    apply = Backend.apply

    def lighter(self: Backend, op, image):
        found = apply(self, op, image)
        return found + np.uint8(2) if self.name == "opencv" else found

    monkeypatch.setattr(Backend, "apply", lighter)
    with pytest.raises(AssertionError, match=r"one backend is brighter than the other, by 2.0 of 255"):
        image_transforms.CHECKS["backends_agree"](step_under_test(IMAGE["horizontal_flip"]))


def test_every_check_was_shown_to_fail() -> None:
    shown = {check for check, _ in BROKEN}
    assert image_transforms.CHECKS.keys() - shown == {"never_applied_is_identity", "backends_agree"}


@pytest.mark.parametrize("check", BROKEN_BATCHES)
def test_a_batch_check_fails_on_what_is_broken(check: str) -> None:
    with pytest.raises(AssertionError, match="; "):
        batch_transforms.CHECKS[check](step_under_test(BROKEN_BATCHES[check]))


def wrong_call(change):
    """A mixer's call whose result is changed."""
    call = Mixer.__call__

    def wrong(self, images, labels=None, *arguments, **named):
        found = call(self, images, labels, *arguments, **named)
        return change(images, *found)

    return wrong


def _pixels_only(images, mixed, soft):
    return mixed, SoftLabels(soft.labels)


def _too_heavy(images, mixed, soft):
    heavy = SoftLabels(soft.labels, soft.sources, soft.weights)
    object.__setattr__(heavy, "weights", np.asarray(soft.weights) * 1.5)
    return mixed, heavy


def _bytes_only(images, mixed, soft):
    if not isinstance(mixed, np.ndarray):
        mixed = mixed.flip(0)
    return mixed, soft


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("label_weights_sum_to_one", _too_heavy),
        ("labels_match_the_pixels", _pixels_only),
        ("arrays_and_tensors_agree", _bytes_only),
    ],
)
def test_a_mixer_that_is_wrong_is_found(check: str, change, monkeypatch: pytest.MonkeyPatch) -> None:
    tested = step_under_test(Registry.installed()["mixup"])
    batch_transforms.CHECKS[check](tested)
    monkeypatch.setattr(Mixer, "__call__", wrong_call(change))
    with pytest.raises(AssertionError):
        batch_transforms.CHECKS[check](tested)


def test_regularizers_have_a_check_of_their_own() -> None:
    with pytest.raises(TypeError, match="dropout belongs to the section model; use check_regularizer"):
        check_transform(Registry.installed()["dropout"])


def test_a_step_under_test_is_a_decorated_class() -> None:
    with pytest.raises(TypeError, match="expected a class decorated with"):
        step_under_test(int)
    found = step_under_test(IMAGE["rotate"], {"degrees": 5})
    assert found.name == "rotate"
    assert pickle.loads(pickle.dumps(next(found.pipelines()))).to_spec()["image"][0]["rotate"]["degrees"] == [-5, 5]


# Plugins: the parametrizer, the command, expected failures.

GOOD = '''
from augreg import ops, transform

@transform("pale", kind="color")
class Pale:
    """Halve the pixel values."""
    def sample(self, rng, scene):
        return ops.point_function("brightness", rng.uniform(0.4, 0.6))
'''
BAD = GOOD.replace("ops.point_function(", "random.random() and ops.point_function(").replace(
    "from augreg", "import random\nfrom augreg"
)
TESTS = """
from augreg.testing import parametrize

@parametrize("{name}"{more})
def test_conformance(check):
    check()
"""


def test_parametrizer_makes_one_test_for_each_object_and_check(install, python, tmp_path) -> None:
    """A plugin with a fault, one whose fault is expected, one whose expected fault is mended, and a wrong entry."""
    expected = ", expected_failures={'%s': 'a known fault'}"
    kinds = {"pale": "", "known": "known/pale:global_generators", "mended": "mended/pale:global_generators"}
    for name, reason in kinds.items():
        install(f"augreg-{name}", {name: name}, **{name: GOOD if name == "mended" else BAD})
        more = expected % reason if reason else ""
        (tmp_path / f"test_{name}.py").write_text(TESTS.format(name=name, more=more))
    wrong = TESTS.format(name="pale", more=expected % "pale/pale:nonsense")
    (tmp_path / "test_wrong.py").write_text(wrong)
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "-rAX", "--continue-on-collection-errors")
    done = python("-m", "pytest", *options, str(tmp_path))
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert "no check is named 'pale/pale:nonsense'" in done.stdout
    assert ["test_conformance[pale/pale:global_generators]" in line for line in failed] == [False, True]
    assert "test_conformance[mended/pale:global_generators]" in failed[0] and "XPASS(strict)" in done.stdout
    passed = len(image_transforms.CHECKS)  # of each, all but one, and `loads`
    assert f"2 failed, {3 * passed} passed, 1 xfailed, 1 error" in done.stdout


def test_command(install, python) -> None:
    install("augreg-pale", {"pale": "pale", "worse": "worse"}, pale=GOOD, worse=BAD)
    good = python("-m", "augreg.testing", "pale")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout == f"{len(image_transforms.CHECKS) + 1} passed, 0 failed\n"
    bad = python("-m", "augreg.testing", "worse")
    assert bad.returncode == 1
    assert "FAILED worse/pale:global_generators: it advances a global generator: random" in bad.stdout


def test_a_plugin_that_is_not_there_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere"]) == 1
    assert "FAILED nowhere:loads: no plugin 'nowhere' is installed" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="no plugin 'nowhere' is installed"):
        check_plugin("nowhere")


MANIFEST = """
from augreg.registry.plugin import Plugin
PLUGIN = Plugin(transforms={"good": "pale:Pale", "bad": "pale:Missing"}%s)
"""


def test_a_class_that_does_not_load_is_one_failed_case(install, python) -> None:
    install("augreg-mixed", {"mixed": "mixed_manifest:PLUGIN"}, pale=GOOD, mixed_manifest=MANIFEST % "")
    done = python("-m", "augreg.testing", "mixed")
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1 and failed[0].startswith("FAILED mixed/bad:loads: pale:Missing does not load")
    assert done.stdout.endswith(f"{len(image_transforms.CHECKS) + 1} passed, 1 failed\n")
    code = (
        "from augreg.testing import parametrize\n"
        "found = parametrize('mixed', {'mixed/bad:pickles': 'why', 'mixed/good:pickles': 'why'}).args[1]\n"
        "print([one.id for one in found if 'bad' in one.id])\n"
        "parametrize('mixed', {'mixed/good:pickle': 'why'})"
    )
    done = python("-c", code)
    assert done.stdout == "['mixed/bad:loads']\n"
    assert "no check is named 'mixed/good:pickle'" in done.stderr


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("presets={'p': 'not_a_package:p.yaml'}", "mixed/p: not_a_package:p.yaml does not load"),
        ("presets={'p': 'pale:p.yaml'}", "mixed/p: "),
        ("policies={'p': 'pale:TABLE'}", "mixed/p: pale:TABLE does not load"),
        ("policies={'p': 'pale:Pale'}", "the policy mixed/p cannot be used"),
        ("backends={'p': 'pale:KERNELS'}", "mixed/p: pale:KERNELS does not load"),
        ("backends={'p': 'pale:Pale'}", "the backend mixed/p cannot be used"),
    ],
)
def test_policies_backends_and_presets_of_a_plugin_are_checked(contents: str, message: str, install, python) -> None:
    install("augreg-mixed", {"mixed": "mixed_manifest:PLUGIN"}, pale=GOOD, mixed_manifest=MANIFEST % f", {contents}")
    code = (
        "from augreg.testing.plugins import cases\n"
        "first = next(cases('mixed'))\n"
        "try:\n    first.check()\nexcept AssertionError as error:\n    print(first.id, error)"
    )
    done = python("-c", code)
    assert f"mixed:loads {message}" in done.stdout, done.stderr


def test_without_torch_only_what_needs_it_fails(install, python) -> None:
    layer = """
from augreg import regularizer, transform

@transform("pale", kind="color")
class Pale:
    \"\"\"Do nothing.\"\"\"
    def sample(self, rng, scene):
        return ()

@regularizer("nothing")
class Nothing:
    \"\"\"Do nothing.\"\"\"
    at: str = "*"
    def attach(self, site):
        pass
"""
    install("augreg-both", {"both": "both"}, both=layer)
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "from augreg.testing.__main__ import main\n"
        "sys.exit(main(['both', '-v']))"
    )
    done = python("-c", code)
    assert done.returncode == 1, done.stderr
    assert "FAILED both/nothing:loads: its checks need torch: pip install 'augreg[torch]'\n" in done.stdout
    assert "1 failed" in done.stdout and "passed both/pale:targets_follow" in done.stdout


def test_a_failed_claimant_does_not_decide_who_has_the_namespace(install, python) -> None:
    install("a-squatter", {"pale": "squatter", "augreg": "squatter"}, squatter=BAD)
    install("augreg-pale", {"pale": "pale"}, pale=GOOD)
    code = (
        "from augreg.testing.plugins import cases\n"
        "for name in ('pale', 'augreg'):\n"
        "    found = {case.id: case.check for case in cases(name)}\n"
        "    found[name + ':loads']()\n"
        "    print(len(found) > 10)"
    )
    done = python("-c", code)
    assert done.stdout == "True\nTrue\n", done.stderr
