"""Augmentation policies: AutoAugment, RandAugment, TrivialAugment, AugMix and timm's strings."""
