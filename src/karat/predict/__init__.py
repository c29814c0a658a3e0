"""Predictor layer: cross-fitted predictions of gold labels."""

from .crossfit import Predictions, Skill, Target, crossfit, loss_weights
from .folds import check_folds, make_folds

__all__ = ["Predictions", "Skill", "Target", "check_folds", "crossfit", "loss_weights", "make_folds"]
