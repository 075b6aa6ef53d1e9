"""Kernels on batches of images: torch tensors of any device, where each image has numbers of its own.

A batch is an N x C x H x W tensor of bytes, and for most kernels it may also be one of float32. The numbers of a kind
of op are columns: arrays or tensors with one row per image. The result is a tensor on the device of the images. No
kernel reads a value back from the device. Where the text of a kernel says that columns are on the CPU or the host,
they are used there first; elsewhere they may also be on the device of the images. `backends/torch.py` has the table
from the records of ops to these kernels.

The bytes are those of the backend `pillow`, computed as it computes them: where it rounds to single precision, so do
the kernels; docs/backends.md says how equal each is. This needs the operations of torch one by one: a compiler that
contracts a product and a sum into one instruction may change blends, auto_contrast, the weights of a resize and
positions of warps.

Import the modules by name. This package imports nothing, so that it is light without torch.
"""
