"""The built-in regularizers: declarations that import no torch; augreg/nn has what they are made of."""
