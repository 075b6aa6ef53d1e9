"""The size of test images at which objects look as large as in training."""
