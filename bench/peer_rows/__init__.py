"""The rows of bench/peers.py, and each peer's pipeline for them, as its users write it."""
