from typing import Any

from numpy.typing import NDArray

from augreg import rng

class Cursor(rng.Cursor): ...

def read_words(parts: NDArray[Any], steps: NDArray[Any], out: NDArray[Any], first: int, count: int, /) -> None: ...
