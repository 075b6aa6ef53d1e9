"""A plugin for augreg: two transforms, a regularizer and a preset, which are listed in manifest.py."""
