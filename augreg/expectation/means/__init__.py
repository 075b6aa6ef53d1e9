"""`expect`: mean predictions over views, noise and models, with their errors."""
