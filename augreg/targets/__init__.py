"""Masks, boxes and keypoints: how they are given (`conventions`), what each is, and what each op does to them."""
