"""Masks, boxes and keypoints: their formats (`conventions`), reading and writing them, and moving them with an op."""
