"""Torch networks: all folds and repeats of a cross-fitting in one training.

``layout`` the parameters of M networks in one array; ``heads`` what outputs mean; ``train`` the loop; ``linear`` the
start; ``fit`` the whole of it; ``surrogates`` learning from surrogate labels first, with the losses in ``robust`` and
the cleaning in ``cleaning``; ``classifier`` and ``regressor`` the scikit-learn face.
"""
