"""The transforms of this plugin, by name. Does not import albumentations."""

from augreg import Plugin
from augreg_albumentations.catalog import catalog

PLUGIN = Plugin(transforms={name: f"augreg_albumentations.transforms:{name}" for name in catalog()})
