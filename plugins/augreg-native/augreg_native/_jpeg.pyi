import numpy as np
from numpy.typing import NDArray

def decode(
    data: bytes, out: NDArray[np.uint8], top: int, left: int, bottom: int, right: int, reduction: int = 1, /
) -> bool: ...
