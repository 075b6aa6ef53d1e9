"""What the transform of the batch section does."""

import numpy as np

import augreg


def test_horizontal_concat_mixes_images_and_labels():
    """A quarter of the width, 15 of 60 columns, is the image's own; the rest is that of its partner."""
    images = np.stack([np.full((40, 60, 3), value, np.uint8) for value in (0, 50, 100, 150)])
    pipe = augreg.Pipeline.from_spec({"batch": [{"example/horizontal_concat": 0.25}]})
    drawn = []
    for batch in range(8):
        mixed, labels = pipe.batch(images, np.arange(4), batch=batch)
        partners = mixed[:, 0, 59, 0] // 50
        assert (mixed[:, :, :15] == images[:, :, :15]).all()
        assert (mixed[:, :, 15:] == images[partners][:, :, 15:]).all()
        assert np.allclose(labels.dense(4), 0.25 * np.eye(4) + 0.75 * np.eye(4)[partners])
        drawn.append(partners.tolist())
    assert all(sorted(partners) == [0, 1, 2, 3] for partners in drawn)
    assert any(partners != drawn[0] for partners in drawn)
