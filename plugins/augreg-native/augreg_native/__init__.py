"""The compiled backend of augreg: the bytes of Pillow, several times as fast."""
