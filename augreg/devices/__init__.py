"""Batches on a device: each image by its own draw, ops run by kind for all images at once.

`programs` draws what is to be done, `fusing` makes fewer passes of it, `loading` reads the images, `running` runs the
ops as torch tensors, and `batches` puts these together for `pipe.train.batch` and `pipe.test.batch`.
"""
