"""Several experts as gold: agreement, error rates, estimands."""
