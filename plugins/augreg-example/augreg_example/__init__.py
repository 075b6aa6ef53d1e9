"""A plugin for augreg; its contents are listed in manifest.py."""
