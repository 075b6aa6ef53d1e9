"""Parts of the HTML pages that augreg writes: plots as inline SVG, and what reports have in common."""
