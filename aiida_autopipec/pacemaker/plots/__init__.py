"""Plots of datasets and trainings, as matplotlib figures and files with equal bytes for equal content."""

from __future__ import annotations

from aiida_autopipec.pacemaker.plots.dataset import plot_dataset
from aiida_autopipec.pacemaker.plots.training import plot_learning_curve, plot_parity
from aiida_autopipec.pacemaker.plots.validation import plot_validation

__all__ = ['plot_dataset', 'plot_learning_curve', 'plot_parity', 'plot_validation']
