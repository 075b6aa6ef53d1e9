"""Images in and out: decoding, arrays and tensors, and reused memory."""
