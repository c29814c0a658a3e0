"""Torch networks: all folds and repeats of a cross-fitting in one training.

``layout`` the parameters of M networks in one array; ``rows`` what each sees and draws; ``heads`` and ``number_heads``
what outputs mean; ``train`` the loop; ``linear`` the start; ``fit`` the whole of it; ``surrogates`` and ``pretrain``
learning from surrogate labels first; ``classifier`` and ``regressor`` the scikit-learn face.
"""

from ..._core.optional import TORCH, optional

optional("torch", "networks", TORCH)
