"""Predictor layer: cross-fitted predictions of gold labels."""

from .crossfit import capped_weights, crossfit, loss_weights
from .folds import check_folds, make_folds
from .labels import Predictions, Skill, Target

__all__ = ["Predictions", "Skill", "Target", "capped_weights", "check_folds", "crossfit", "loss_weights", "make_folds"]
