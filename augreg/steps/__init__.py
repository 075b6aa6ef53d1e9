"""What a step of a spec is: argument types, declarations, schedules, selectors, descriptions."""
