"""Take a screenshot for the top of README.md: one photo on the gallery page.

    python tools/sheet.py         # writes gallery/sheet.webp; needs playwright and chromium

Run it when the page or the preset imagenet changes.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from augreg.data import sample_photo
from augreg.gallery import main as gallery

OUT = Path(__file__).parents[1] / "gallery/sheet.webp"
WIDTH = 900  # as wide as a README is shown: two rows of four images
STYLE = ".tile .words { -webkit-line-clamp: unset; } .photo h3 { visibility: hidden; }"  # the page cuts long captions


def main() -> int:
    """Write the page for one photo, and take a screenshot of its images with their captions."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("tools/sheet.py: there is no chromium on the PATH; install it, for example by apt install chromium")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        code = gallery(["--images", str(sample_photo("coffee")), "--out", str(page)])
        if code:
            return code
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            tab = started.new_page(
                viewport={"width": WIDTH, "height": 1200},
                device_scale_factor=2,
                color_scheme="light",
                bypass_csp=True,
            )
            tab.goto(page.as_uri())
            tab.add_style_tag(content=STYLE)
            box = tab.locator(".photo .row").first.bounding_box()
            assert box is not None
            around = {"x": 0, "y": box["y"] - 12, "width": WIDTH, "height": box["height"] + 24}
            shot = tab.screenshot(clip=around, full_page=True)
            started.close()
    Image.open(io.BytesIO(shot)).convert("RGB").save(OUT, quality=80, method=6)
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
