"""The conformance checks of augreg on everything in this plugin. The other files test what each step does."""

from augreg.testing import parametrize


@parametrize("example")
def test_conformance(check):
    """One test for each object and check."""
    check()
