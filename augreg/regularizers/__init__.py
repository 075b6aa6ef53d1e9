"""The built-in regularizers: declarations that import no torch. Their layers are in `augreg/nn`."""
