"""What the travelling script says, read without trust."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.selection.result import loss_against, read_explanation


def arrays(n=4, rows=(2, 0)):
    """Return what the script writes for a pool of some structures."""
    rounds = np.full(n, -1)
    rounds[list(rows)] = 1
    numbers = {name: np.zeros(n) for name in ('leverage', 'probability', 'gain', 'gamma_before', 'gamma_after')}
    return {
        'rows': np.array(rows),
        'round': rounds,
        'active_atoms': np.zeros(n, dtype=int),
        'components': np.zeros((n, 2)),
        **numbers,
    }


@pytest.fixture
def read(tmp_path):
    """Return a function that writes arrays and reads them back."""

    def back(content, n=4, save=np.savez):
        save(tmp_path / 'selection.npz', **content)
        return read_explanation(tmp_path / 'selection.npz', n)

    return back


def test_an_explanation_comes_back(read):
    """Every array is there, and those that were selected are marked."""
    explanation = read(arrays())
    assert explanation.selected.tolist() == [True, False, True, False]
    assert set(explanation.arrays()) == set(arrays())


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'rows': np.array([2, 2])}, 'twice'),
        ({'rows': np.array([2, 9])}, 'not in the pool'),
        ({'rows': np.array([-1, 0])}, 'not in the pool'),
        ({'rows': np.array([1, 0])}, 'others than those with a round'),
        ({'rows': np.array([0.5])}, 'names no rows'),
        ({'leverage': np.zeros(3)}, '`leverage`'),
        ({'leverage': np.array(list('abcd'))}, '`leverage`'),
        ({'gain': np.array([{}] * 4)}, 'no explanation'),
        ({'components': np.zeros(4)}, '`components`'),
    ],
)
def test_what_makes_no_sense_is_refused(read, change, words):
    """Rows that are not there or come twice, wrong shapes and Python objects are no explanation."""
    with pytest.raises(OutputError, match=words):
        read(arrays() | change)


def test_an_explanation_of_another_pool_is_refused(read):
    """The number of candidates has to be that of the pool."""
    with pytest.raises(OutputError, match='about 4 structures, but the pool has 5'):
        read(arrays(), n=5)


def test_bombs_and_garbage_are_refused(read, tmp_path):
    """What is compressed, far too large, incomplete, or no archive, is not read."""
    with pytest.raises(OutputError, match='compressed'):
        read(arrays(), save=np.savez_compressed)
    with pytest.raises(OutputError, match='larger'):
        read(arrays() | {'more': np.zeros(10**6)})
    incomplete = arrays()
    del incomplete['gain']
    with pytest.raises(OutputError, match='gain'):
        read(incomplete)
    (tmp_path / 'selection.npz').write_bytes(b'garbage')
    with pytest.raises(OutputError, match='no explanation'):
        read_explanation(tmp_path / 'selection.npz', 4)


def test_a_reason_is_one_sentence(read):
    """It says when and why a structure was taken, with what is known of it."""
    content = arrays()
    content['round'][:] = [0, -1, 2, -1]
    content['leverage'][:] = 1.5
    content['active_atoms'][2] = 3
    content['probability'][:] = [np.nan, np.nan, 0.25, np.nan]
    content['gain'][:] = [np.nan, np.nan, 0.5, np.nan]
    content['gamma_before'][:] = np.nan
    content['gamma_after'][:] = [1, 2, 1, np.nan]
    explanation = read(content)
    assert explanation.reason(0) == 'taken in any case: leverage 1.5, gamma 1.00 after'
    assert explanation.reason(2) == (
        'selected in round 2: leverage 1.5, 3 active atoms, drawn with probability 0.25, 0.5 of log-determinant per '
        'atom, gamma 1.00 after'
    )
    assert explanation.reason(3) == 'not selected: leverage 1.5'


def test_the_loss_against_a_single_run():
    """It is what is not the same, and the volume that is missing."""
    loss = loss_against({'rows': [1, 2, 3], 'log_determinant': 5.0}, {'rows': [2, 3, 4, 5], 'log_determinant': 5.5})
    assert (loss.overlap, loss.log_determinant) == (0.5, 0.5)
