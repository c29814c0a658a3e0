"""From texts to numbers: encoders, and a classifier that is fine-tuned; public names are in :mod:`karat.predict`."""
