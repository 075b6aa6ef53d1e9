from typing import Any


def refused(op: Any, dtype: str, channels: int) -> str:
    return "stub"


def apply(op: Any, images: Any) -> Any:
    raise AssertionError


def resize_boxes(op: Any, images: Any, sizes: Any) -> Any:
    raise AssertionError
