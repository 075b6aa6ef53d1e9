"""Files on disk: those that come with augreg, and files that are written whole or not at all."""
