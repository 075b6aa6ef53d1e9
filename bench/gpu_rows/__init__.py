"""The rows of `gpu.py`: batches by augreg and by other libraries, and the check of augreg's results."""
