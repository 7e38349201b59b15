"""The picture of a selection."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.plots.selection import plot_selection
from aiida_autopipec.pacemaker.selection.result import Explanation


def explain(n=60, *, before=True, after=True, kept=1):
    """Return an explanation of a selection of a third of the candidates."""
    rng = np.random.default_rng(0)
    rounds = np.full(n, -1)
    rounds[: n // 3] = 1
    rounds[:kept] = 0
    nothing = np.full(n, np.nan)
    return Explanation(
        rows=np.arange(n // 3),
        round=rounds,
        active_atoms=np.zeros(n, dtype=int),
        leverage=rng.random(n),
        probability=nothing,
        gain=nothing,
        gamma_before=rng.lognormal(1.0, 1.0, n) if before else nothing,
        gamma_after=rng.random(n) if after else nothing,
        components=rng.normal(size=(n, 2)),
    )


def test_grades_and_places_are_drawn(tmp_path):
    """Both histograms and all kinds of candidates are there, and the title says what is left."""
    explanation = explain()
    figure = plot_selection(explanation, tmp_path / 'selection.png')
    assert (tmp_path / 'selection.png').stat().st_size > 10_000
    grades, places = figure.axes
    assert [text.get_text() for text in grades.get_legend().get_texts()] == ['all, before', 'not selected, after']
    assert grades.get_title(loc='right') == f'largest γ left {explanation.gamma_after[20:].max():.2f}'
    assert [text.get_text() for text in places.get_legend().get_texts()] == ['pool', 'selected', 'kept in any case']
    assert [len(dots.get_offsets()) for dots in places.collections] == [40, 19, 1]
    assert places.get_title(loc='right') == '20 of 60 structures'


def test_without_history_there_is_no_before():
    """Only the grades after are drawn, and nothing is marked as kept that is not."""
    grades, places = plot_selection(explain(before=False, kept=0)).axes
    assert [text.get_text() for text in grades.get_legend().get_texts()] == ['not selected, after']
    assert len(places.collections) == 2


def test_what_is_not_spanned_is_said():
    """Without any grade the picture says why."""
    grades, _ = plot_selection(explain(before=False, after=False)).axes
    assert grades.texts[0].get_text() == 'the selected structures do not span the pool'


def test_a_selection_of_everything_has_no_rest():
    """Where nothing is left, nothing is drawn as left."""
    explanation = explain(3, kept=0)
    everything = Explanation(**{**explanation.arrays(), 'rows': np.arange(3), 'round': np.ones(3, dtype=int)})
    grades, places = plot_selection(everything).axes
    assert [text.get_text() for text in grades.get_legend().get_texts()] == ['all, before']
    assert len(places.collections) == 1


def test_equal_selections_are_equal_files(tmp_path):
    """The bytes depend on the numbers alone."""
    for name in ('a.svg', 'b.svg'):
        plot_selection(explain(), tmp_path / name)
    assert (tmp_path / 'a.svg').read_bytes() == (tmp_path / 'b.svg').read_bytes()


def test_other_endings_are_refused(tmp_path):
    """The message says which are possible."""
    with pytest.raises(InputError, match=r'\.png'):
        plot_selection(explain(), tmp_path / 'selection.jpg')
