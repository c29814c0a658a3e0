"""From the labels of several annotators to one distribution per task."""
