"""Numbers on arrays: root, tuning, covariance, bootstrap."""
