"""Policies as data: the published tables, and what a magnitude means in each dialect. No array library is needed."""
