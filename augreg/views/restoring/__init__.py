"""Brings predictions on views back into the frame of the image, and averages them."""
