"""The loss section: the criterion, penalties, and which parameters they concern."""
