"""A process of the live gallery whose drafts say how many seconds they take, or that they end it."""

from __future__ import annotations

import os
import time
from typing import Any


def run(connection: Any, settings: Any) -> None:
    """Answer drafts until the other end is closed."""
    connection.send("ready")
    while True:
        try:
            text = connection.recv()
        except EOFError:
            return
        if text == "end":
            os._exit(3)
        time.sleep(float(text))
        connection.send({"html": text, "problems": []})
