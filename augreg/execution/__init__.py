"""From steps to a result: sampling, merging, running, samples with targets, and the plan that records all of it."""
