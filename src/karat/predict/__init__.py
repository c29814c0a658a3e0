"""Predictor layer: cross-fitted predictions of gold labels."""

from .crossfit import crossfit, loss_weights
from .folds import check_folds, make_folds
from .labels import Predictions, Skill, Target

__all__ = ["Predictions", "Skill", "Target", "check_folds", "crossfit", "loss_weights", "make_folds"]
