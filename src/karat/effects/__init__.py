"""What follows from a fit: average predictions, slopes and comparisons (methods, section 8.1)."""
