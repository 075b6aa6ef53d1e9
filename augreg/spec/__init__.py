"""Specs: from a file, a preset or plain data to checked steps, and back."""
