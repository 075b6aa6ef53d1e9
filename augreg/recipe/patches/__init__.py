"""Patches of a spec and of a task: what to change so that training gets better, why, and whether it helped."""
