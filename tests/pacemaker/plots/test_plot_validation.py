"""Pictures of a validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.plots import plot_validation

TIME = np.arange(0.0, 50.0, 5.0)
ARRAYS = {
    'dimer_distances': np.linspace(0.5, 4.5, 50),
    'dimer_Al_Al_energy': np.linspace(400.0, -1.0, 50),
    'dimer_Al_Ni_energy': np.full(50, np.nan),
    'volume_volumes': np.linspace(10.0, 20.0, 9),
    'volume_energy': np.linspace(-3.0, -2.0, 9),
    'phonons_frequencies': np.array([[0.0, 10.0, 20.0]]),
    'dynamics_time': TIME,
    'dynamics_temperature': 1000 + TIME,
    'dynamics_distance': 2.5 - 0.01 * TIME,
    'dynamics_gamma': 1 + 0 * TIME,
}


def test_a_panel_for_each_thing_measured(tmp_path: Path) -> None:
    """Dimers, volumes, frequencies, heat, and closeness with grades; what was not measured has no panel."""
    figure = plot_validation(ARRAYS, tmp_path / 'all.png')
    assert (tmp_path / 'all.png').stat().st_size > 10_000
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert sum(label == 'time (fs)' for label in labels) >= 2
    assert any('Å³/atom' in label for label in labels)
    assert [axes.axison for axes in figure.axes].count(False) == 1
    only = plot_validation({name: array for name, array in ARRAYS.items() if name.startswith('dimer')})
    assert len(only.axes) == 1


def test_the_numbers_that_matter_are_written(tmp_path: Path) -> None:
    """The energy of the core and the extremes of the simulation stand above the panels."""
    figure = plot_validation(ARRAYS)
    remarks = ' '.join(axes.get_title(loc='right') for axes in figure.axes)
    for text in ('Al-Al: 400 eV at 0.50 Å', 'highest 1045 K', 'shortest 2.05 Å', 'largest grade 1'):
        assert text in remarks, text


def test_nothing_to_draw() -> None:
    """Without anything measured there is no picture, and a sentence says so."""
    with pytest.raises(InputError, match='no check measured anything'):
        plot_validation({})


def test_equal_plots_are_equal_files(tmp_path: Path) -> None:
    """Two pictures of the same numbers have the same bytes."""
    for name in ('a.svg', 'b.svg'):
        plot_validation(ARRAYS, tmp_path / name)
    assert (tmp_path / 'a.svg').read_bytes() == (tmp_path / 'b.svg').read_bytes()
