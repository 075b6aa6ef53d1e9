"""Workers repeat each other with albumentations' own generator, which is copied into each; not with augreg."""

import hashlib

import pytest
import torch
from workers import Images, Plain

import augreg
from augreg.data import Augmented, EpochSampler

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning")


def hashes(loader):
    """A digest of every sample, in order."""
    return [hashlib.sha256(bytes(sample.numpy())).hexdigest() for batch in loader for sample in batch]


def test_its_own_generator_repeats():
    """Of 16 samples of one image, four workers make four different ones, and the same again in the next epoch."""
    loader = torch.utils.data.DataLoader(Plain(), batch_size=1, num_workers=4)
    first, second = hashes(loader), hashes(loader)
    assert len(set(first)) == 4
    assert first == second


def test_with_a_key_nothing_repeats_and_workers_do_not_matter():
    """16 samples, two epochs: 32 different images, the same with 0 and 4 workers."""
    pipe = augreg.Pipeline.from_spec([{"albumentations/GaussNoise": {"p": 1.0}}])
    found = {}
    for workers in (0, 4):
        sampler = EpochSampler(Images(), shuffle=False)
        loader = torch.utils.data.DataLoader(
            Augmented(Images(), pipe.train), batch_size=4, sampler=sampler, num_workers=workers
        )
        found[workers] = []
        for epoch in (0, 1):
            sampler.set_epoch(epoch)
            found[workers] += hashes(loader)
    assert found[0] == found[4]
    assert len(set(found[0])) == 32
