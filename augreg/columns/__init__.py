"""The draws of many images at once: arrays with a number for each image, equal to those that are drawn one by one.

`philox.py` computes the words of many streams, `cursors.py` reads them as `augreg.rng.Cursor` reads one, and
`records.py` has scenes and ops whose numbers are arrays. `augreg.rng` remains the definition of all of it.
"""
