"""The live gallery: completion, sliders, and the answers to drafts of a spec; the server; and all in a browser."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from augreg.data import sample_photo
from augreg.gallery import main
from augreg.gallery.live.completion import complete
from augreg.gallery.live.draft import Drafts
from augreg.gallery.live.numbers import numbers_in
from augreg.gallery.live.server import MOST_LETTERS, Live
from augreg.gallery.live.worker import Worker
from augreg.registry.registry import Registry
from augreg.spec.json_schema import schema
from tests import slow_drafts

SPEC = "image:\n  - rotate: {degrees: [-30, 30]}\n  - horizontal_flip: {p: 0.5}\n"
CAT = sample_photo()


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    registry = Registry.installed()
    names = (
        "rotate",
        "rot90",
        "horizontal_flip",
        "jpeg",
        "one_of",
        "sequential",
        "mixup",
        "dropout",
        "cutout",
        "random_crop",
    )
    return schema({name: registry[name] for name in names})


# Completion: `|` is the cursor.


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("|", ["image", "batch", "$schema"], "image:\n  - "),
        ("ima|", ["image"], "image:\n  - "),
        ("{ima|", ["image"], "image: "),
        ("ima|: []", ["image"], "image"),
        ("image:\n  - one_of:\n      ste|", ["steps"], "steps:\n        - "),
        ("image:\n  - rotate: |", ["degrees", "interpolation"], "{degrees: }"),
        ("image:\n  - rot|", ["rotate", "rot90"], "rotate"),
        ("image:\n  - random_c|", ["random_crop"], "random_crop: "),  # it needs an argument
        ("image:\n  - one|", ["one_of"], "one_of:\n      - "),
        ("image: [horizontal_flip, ro|]", ["rotate", "rot90"], "rotate"),
        ("image:\n  - rotate: {deg|}", ["degrees"], "degrees: "),
        ("image:\n  - rotate: {degrees: 3, |}", ["interpolation", "fill", "p"], None),
        ("image:\n  - rotate:\n      degrees: 3\n      inter|", ["interpolation"], "interpolation: "),
        ("image:\n  - rotate:\n      inter|: nearest", ["interpolation"], "interpolation"),
        ("image:\n  - rotate: {interpolation: n|", ["nearest"], "nearest"),
        ("image:\n  - one_of:\n      steps:\n        - jp|", ["jpeg"], "jpeg"),
        ("image: []\nbatch:\n  - |", ["mixup"], None),
        ("image: []\noutput: n|\nseed: 3", ["numpy"], "numpy"),
        ("image: []\napproximate: t|", ["true"], "true"),
        ("image:\n  # rot|", [], None),
        ("image:\n  - rotate: deg|", ["degrees"], "{degrees: }"),
        ("image:\n  - rotate: deg| # more", [], None),  # a key cannot stand there
        ("image: 'rot|", [], None),
    ],
)
def test_completions_are_what_the_schema_allows_there(
    text: str, names: list[str], first: str | None, known: Any
) -> None:
    cursor = text.index("|")
    found = complete(text.replace("|", ""), cursor, known)
    offered = [item.name for item in found.items]
    assert set(names) <= set(offered) and bool(names) == bool(offered), offered
    if first is not None:
        item = next(item for item in found.items if item.name == names[0])
        assert item.text == first
        assert re.fullmatch(r"\w*", text[found.start : cursor])
    if not text.strip("|"):
        assert offered[0] == "image" and offered[-1] == "$schema"
    if "degrees: 3" in text:
        assert "degrees" not in offered  # it is there already
    assert ("mixup" in offered) == ("batch" in text)


def test_a_completion_says_what_it_is_about(known: Any) -> None:
    (item,) = complete("image:\n  - jpe", 16, known).items
    assert item.about == Registry.installed()["jpeg"].__doc__.partition("\n")[0]


# Sliders.


def test_numbers_are_found_where_they_are_with_the_bounds_of_the_schema(known: Any) -> None:
    text = f"seed: 3\n{SPEC.partition('  - hor')[0]}  - jpeg: {{quality: 20}}\n  - {{cutout: {{size: 0.25, p: 1}}}}\n"
    found = {number.path: number for number in numbers_in(text, known)}
    assert list(found) == [
        "seed", "image[0].rotate.degrees[0]", "image[0].rotate.degrees[1]", "image[1].jpeg.quality",
        "image[2].cutout.size", "image[2].cutout.p",
    ]  # fmt: skip
    assert all(float(text[number.start : number.end]) == number.value for number in found.values())
    low, high, step = found["image[2].cutout.p"][-3:]
    assert (low, high, step) == (0.0, 1.0, 0.01)
    assert found["seed"][-3:] == (0.0, 10.0, 1.0)  # 2^63 - 1 is no range for a slider
    low, high, _ = found["image[0].rotate.degrees[0]"][-3:]
    assert (low, high) == (-60.0, 60.0)


BOMB = "a: &a [1]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise("abcdefghijklmnopqrstuvwxyz")
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image: [",
        "\0",
        "[" * 20_000,
        "- " * 3_000,
        "{a: " * 15_000,
        BOMB,
        "image: ['3', .nan, 1e999]",
        "a: !!int 3_0",
    ],
    ids=range(9),
)
def test_hostile_and_broken_text_is_answered_at_once(text: str, known: Any) -> None:
    started = time.process_time()
    assert [number.path for number in numbers_in(text, known)] == (["a[0]"] if text is BOMB else [])
    assert complete(f"{text}\n# ", len(text) + 3, known).items == []
    assert complete(text, len(text), known).start <= len(text)
    assert time.process_time() - started < 2


# Answers.


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> Drafts:
    return Drafts(tmp_path_factory.mktemp("drafts"), ".yaml", {CAT: "cat.jpg"}, size=48)


def test_a_draft_is_answered_with_its_images(drafts: Drafts) -> None:
    answer = drafts.answer(SPEC)
    assert answer["problems"] == []
    assert answer["html"].count("<img ") == 6 and "cat.jpg" in answer["html"]
    assert answer["html"] == drafts.answer(SPEC)["html"] != drafts.answer(SPEC.replace("30", "80"))["html"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "image:\n  - rotate: {degree: 3}\n",
            2,
            "image[0].rotate.degree: rotate has no field 'degree'; did you mean",
        ),
        ("image:\n  - rotate: {degrees: 3\n", 3, "not valid YAML"),
        ("image: []\ntargets:\n  clip: true\n", 2, "targets.clip: a gallery is for single images, not clips"),
        ("seed: 1\nviews:\n  a: [horizontal_flip]\n", 2, "views: a gallery is for one image"),
        ("", None, "a spec is a mapping or a list of steps"),
        ("image: [\ud800]", None, "surrogates not allowed"),
    ],
)
def test_a_wrong_draft_is_answered_with_its_problems(text: str, line: int | None, said: str, drafts: Drafts) -> None:
    answer = drafts.answer(text)
    (problem,) = answer["problems"]
    assert answer["html"] is None and problem["line"] == line and said in problem["message"]
    assert str(drafts._file.parent) not in problem["message"]


def test_a_draft_may_not_make_huge_images(drafts: Drafts) -> None:
    html = drafts.answer("max_pixels: 1000000000000\nimage: [{resize: {size: [20000, 20000]}}]")["html"]
    assert "max_pixels" in html and html.count("<img ") == 1  # the original alone


# The process that draws.


def test_a_draft_that_takes_too_long_or_ends_the_process_is_a_problem() -> None:
    worker = Worker(seconds=0.5, run=slow_drafts.run)
    try:
        assert worker.answer("a", 1, "0") == {"html": "0", "problems": []}
        (problem,) = worker.answer("a", 2, "60")["problems"]
        assert "takes more than 0.5 seconds" in problem["message"]
        (problem,) = worker.answer("a", 3, "end")["problems"]
        assert "ended the process" in problem["message"]
        assert worker.answer("a", 2, "0") == {"stale": True}
        assert worker.answer("b", 1, "0")["html"] == "0"  # by a new process; another page has numbers of its own
        folder = Path(worker._folder.name)
        assert folder.is_dir()
    finally:
        worker.close()
    assert not folder.exists()


def test_drafts_that_wait_are_passed_over_for_a_newer_one() -> None:
    worker = Worker()
    worker._lock.acquire()
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=number: found.update({n: worker.answer("a", n, "")})) for number in (1, 2)
    ]
    for thread in threads:
        thread.start()
    while worker._newest.get("a") != 2:
        time.sleep(0.01)
    worker._newest["a"] = 3
    worker._lock.release()
    for thread in threads:
        thread.join()
    worker.close()
    assert found == {1: {"stale": True}, 2: {"stale": True}}


# The server.


class Instant:
    """A worker that answers at once."""

    def answer(self, client: str, number: int, text: str) -> dict[str, Any]:
        return {"html": f"{client} {number}", "problems": []}


@pytest.fixture(scope="module")
def server(known: Any) -> Iterator[Live]:
    live = Live("image: [] # </textarea><b>", "<mine>.yaml", ".yaml", Instant())  # type: ignore[arg-type]
    live.__dict__["schema"] = known
    thread = threading.Thread(target=live.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield live
    live.shutdown()
    live.server_close()
    thread.join()


def ask(live: Live, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", live.server_port, timeout=10)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def test_the_page_is_given_out_under_its_token_alone(server: Live) -> None:
    assert server.server_address[0] == "127.0.0.1"
    status, text, headers = ask(server, "GET", f"/{server.token}/")
    assert status == 200 and "image: [] # &lt;/textarea&gt;&lt;b&gt;" in text and "&lt;mine&gt;.yaml" in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    for path in ("/", f"/{server.token}", f"/{server.token[:-1]}/", "/x/"):
        assert ask(server, "GET", path)[0] == 403, path
    assert ask(server, "GET", f"/{server.token}/etc/passwd")[0] == 404
    with Live("", "", ".yaml", Instant()) as other:  # type: ignore[arg-type]
        assert server.token not in other.address


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Content_Type": "text/plain"}, 415),
    ],
)
def test_other_pages_may_not_ask(headers: dict[str, str], status: int, server: Live) -> None:
    body = json.dumps({"client": "c", "number": 4, "text": "image: [{jpeg: 30}]"}).encode()
    sent = {"Content_Type": "application/json", **headers}
    sent = {name: value.format(server.hosts[0]) for name, value in sent.items()}
    found, text, _ = ask(server, "POST", f"/{server.token}/render", body, **sent)
    assert found == status
    if status == 200:
        answer = json.loads(text)
        assert answer["html"] == "c 4" and answer["numbers"][0]["path"] == "image[0].jpeg"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"[]", 400), (b'{"text": 3, "cursor": 3}', 400), (b'{"text": "", "cursor": true}', 400),
        (b"[" * 100_000, 400), (b"\xff", 400), (b'{"text": "%s", "cursor": 3}' % (b"a" * (MOST_LETTERS + 1)), 413),
        (b'{"text": "\\ud83d\\ude00 ", "cursor": -5}', 200),
    ],
)  # fmt: skip
def test_calls_are_checked(body: bytes, status: int, server: Live) -> None:
    assert ask(server, "POST", f"/{server.token}/complete", body, Content_Type="application/json")[0] == status


def test_a_call_is_bounded(server: Live) -> None:
    path, kind = f"/{server.token}/complete", "application/json"
    assert ask(server, "POST", path, b"{}", Content_Type=kind, Content_Length="9" * 30)[0] == 413
    assert ask(server, "POST", path, b"{}", Content_Type=kind, Content_Length="-1")[0] == 411
    assert ask(server, "POST", f"/{server.token}/shell", b"{}", Content_Type=kind)[0] == 404


def test_places_are_counted_as_browsers_count(server: Live) -> None:
    text = "# \U0001f600\nimage: [{jpeg: 30}]\n"
    found = server.render("c", 1, text)["numbers"]
    units = text.encode("utf-16-le")
    assert units[2 * found[0]["start"] : 2 * found[0]["end"]].decode("utf-16-le") == "30"
    text = "# \U0001f600\nimage: [jpe"
    found = server.complete(text, len(text) + 1)
    assert found["start"] == len(text) + 1 - 3 and [item["text"] for item in found["items"]] == ["jpeg"]


def test_command_refuses_with_a_reason(tmp_path: Path, server: Live, capsys: Any) -> None:
    (tmp_path / "long.yaml").write_text("#" * (MOST_LETTERS + 1))
    taken = str(server.server_port)
    for arguments, said in (
        (["--live", "--spec", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--live", "--spec", str(tmp_path / "long.yaml")], "at most 65536 letters"),
        (["--live", "--images", str(tmp_path / "none")], "no such file or folder"),
        (["--live", "--port", taken], f"--port {taken}: "),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
    for arguments, said in (
        (["--live", "--out", "x.html"], "--live writes no page"),
        (["--port", "70000"], "from 0 to 65535"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


# In a browser, with the command.


@pytest.fixture
def command(tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """The command in a process of its own, and the address that it prints."""
    (tmp_path / "mine.yaml").write_text(SPEC)
    arguments = ["gallery", "--live", "--spec", str(tmp_path / "mine.yaml"), "--images", str(CAT), "--size", "96"]
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests may run with it ignored
        f"from augreg.__main__ import main; raise SystemExit(main({arguments!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[1]
        finally:
            process.kill()


def test_the_editor_in_a_browser(browser: Any, command: tuple[Any, str]) -> None:
    from playwright.sync_api import expect

    process, address = command
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: request.url.startswith((address, "data:")) or problems.append(request.url))
    tab.goto(address)
    state, text, image = tab.locator("#state"), tab.locator("#text"), tab.locator("#result img").nth(2)
    expect(state).to_have_text("up to date", timeout=30_000)
    assert tab.locator("#result img").count() == 6
    assert tab.evaluate("document.documentElement.scrollWidth") == 390

    before = image.get_attribute("src")
    tab.locator("#numbers input").nth(1).fill("55")  # a slider rewrites its number, and the image changes
    expect(text).to_have_value(SPEC.replace("30]", "55]"))
    expect(image).not_to_have_attribute("src", before)

    text.press("Control+End")
    tab.keyboard.type("  - rot")  # a completion is taken by keyboard
    expect(tab.locator("#completions:not([hidden]) li").first).to_contain_text("rot90")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    expect(text).to_have_value(re.compile("\n  - rotate$"))
    tab.keyboard.type(": {degre: 3}")  # an error is at its line, and the images stay
    problem = tab.locator("#problems button")
    expect(problem).to_have_text(re.compile("line 4: .*no field 'degre'; did you mean 'degrees'"))
    assert tab.locator(".lines b").inner_text().strip() == "4" and tab.locator(".bands div").count() == 1
    expect(tab.locator("#result.old img")).to_have_count(6)
    for _ in range(4):
        tab.keyboard.press("Backspace")
    tab.keyboard.type("es: 3}")
    expect(state).to_have_text("up to date")
    assert problem.count() == 0
    image.click()
    expect(tab.locator("#zoom img")).to_be_visible()
    tab.keyboard.press("Escape")
    tab.set_viewport_size({"width": 1280, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == 1280

    text.fill("")  # a spec from nothing, by completion
    text.press("Control+Space")
    for name, typed in (("image", "random_cr"), ("random_crop", ""), ("size", "64")):
        chosen = tab.locator("#completions:not([hidden]) li[aria-selected=true]")
        expect(chosen).to_contain_text(name, timeout=30_000)
        tab.keyboard.press("Enter")
        tab.keyboard.type(typed)
    text.press("End")
    text.press("Enter")
    for name in ("one_of", "solarize", "horizontal_flip"):
        tab.keyboard.type(name[:-1])
        options = tab.locator("#completions:not([hidden]) li")  # a hidden list has the options of before
        expect(options).to_have_count(1 if name != "solarize" else 2, timeout=30_000)
        expect(options.first).to_contain_text(name)
        tab.keyboard.press("Enter")  # takes the completion
        if name != "one_of":
            tab.keyboard.press("Enter")
            tab.keyboard.press("Enter")  # an empty item ends the list
    tab.keyboard.type("seed: 3")
    nested = "  - one_of:\n      - solarize\n  - horizontal_flip\n"
    expect(text).to_have_value(f"image:\n  - random_crop: {{size: 64}}\n{nested}seed: 3")
    expect(state).to_have_text("up to date")
    assert problems == []
    tab.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0 and process.stdout.read() == "ended\n"
