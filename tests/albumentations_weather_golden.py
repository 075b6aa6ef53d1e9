"""Made data/albumentations_weather.npz with albumentations 2.0.8: shadows, snow, flares, fog and a turned blur.

    python tests/albumentations_weather_golden.py

Nothing is random: the polygons, circles and disks are given. Those of `fog` are what augreg draws for `FOG`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "data"
SHADOWS = ([(3, 2), (38, 9), (12, 30), (30, 1), (5, 25)], [(20, 5), (39, 31), (0, 28)])
DARKNESS = (0.5, 0.3)
SNOW = (0.2, 2.5)
CENTER, RADIUS, COLOR = (11, 7), 40, (250, 240, 200)
CIRCLES = [(0.2, (20, 9), 8, (210, 220, 160)), (0.1, (5, 30), 27, (250, 200, 190)), (0.15, (25, 14), 1, (1, 2, 3))]
FOG = (0.8, 0.1, 77)  # intensity, opacity and key
BLUR = (7, 2.0, 0.7, 30.0)  # side, deviations and angle


def made() -> np.ndarray:
    """An image with smooth parts, noise, gray, black and white."""
    rows, columns = np.mgrid[:32, :40]
    image = np.stack([rows * 8, columns * 6, 255 - rows * 3 - columns * 3], axis=2).clip(0, 255)
    image[:, :8] = np.random.default_rng(5).integers(0, 256, (32, 8, 3))
    image[:4, 8:20] = np.arange(12)[:, None] * 23
    return image.astype(np.uint8)


def main() -> None:
    import albumentations as A  # noqa: N812 - as its own documentation calls it
    from albumentations.augmentations.pixel import functional

    from augreg import ops
    from augreg.backends import regions

    image, vertices = made(), [np.array(polygon) for polygon in SHADOWS]
    intensity, opacity, _ = FOG
    x, y, radius = regions._of_fog(ops.fog(*FOG), *image.shape[:2])
    centers, radii = list(zip(x.tolist(), y.tolist(), strict=True)), radius.tolist()
    # its last step is a blur, which is a step of its own here: one that changes nothing takes its place
    blur, functional.cv2.GaussianBlur = functional.cv2.GaussianBlur, lambda array, *_: array
    fog = functional.add_fog(image, intensity, opacity / intensity, centers, radii)
    functional.cv2.GaussianBlur = blur
    side, sigma_x, sigma_y, degrees = BLUR
    blurred = A.AdvancedBlur(
        (side, side), (sigma_x, sigma_x), (sigma_y, sigma_y), (degrees, degrees), (1 - 1e-9, 1 + 1e-9), (1, 1)
    )
    np.savez_compressed(
        HERE / "albumentations_weather.npz",
        shadow=functional.add_shadow(image, vertices, np.array(DARKNESS)),
        snow=functional.add_snow_bleach(image, *SNOW),
        flare=functional.add_sun_flare_overlay(image, CENTER, RADIUS, COLOR, CIRCLES),
        fog=fog,
        kernel=blurred.get_params()["kernel"],
    )


if __name__ == "__main__":
    main()
