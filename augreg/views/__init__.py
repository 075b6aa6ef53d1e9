"""Test-time views: several test images of one image, with weights, and their predictions in the image's frame."""
