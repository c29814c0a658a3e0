"""One regression over many surrogates with one gold set."""
