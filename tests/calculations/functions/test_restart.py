"""Changed settings and combined results as nodes."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.orm import ArrayData, Dict, FolderData

from aiida_autopipec.calculations.functions.restart import change_config, combine_attempts, read_unfinished
from aiida_autopipec.pacemaker.errors import ConfigError


def curve(losses):
    """Return a learning curve of one minimisation."""
    n = len(losses)
    columns = {name: np.zeros(n) for name in ('ladder_step', 'cycle_step')}
    rows = {**columns, 'iter_num': np.arange(float(n)), 'loss': np.array(losses), 'nfuncs': np.full(n, 5.0)}
    return ArrayData({**rows, **{f'test_{name}': values for name, values in rows.items()}})


@pytest.mark.usefixtures('aiida_profile')
def test_changes_are_checked(config):
    """Settings that Pacemaker would ignore never become a node."""
    assert change_config(Dict(config), Dict({'fit': {'maxiter': 3}}))['fit']['maxiter'] == 3
    with pytest.raises(ConfigError, match='maxitr'):
        change_config(Dict(config), Dict({'fit': {'maxitr': 3}}))


@pytest.mark.usefixtures('aiida_profile')
def test_attempts_become_one_result():
    """Iterations of all jobs add up, and the curve of the test set goes along."""
    combined = combine_attempts(
        Dict({'attempts': [{'iterations': 2}, {'iterations': 1}]}),
        Dict({'iterations': 1, 'initial_loss': 6.0, 'final_loss': 5.0}),
        attempt_01=curve([8.0, 7.0, 6.0]),
        attempt_02=curve([6.0, 5.0]),
    )
    report = combined['output_parameters'].get_dict()
    assert (report['iterations'], report['initial_loss'], report['final_loss']) == (3, 8.0, 5.0)
    arrays = combined['learning_curve']
    assert arrays.get_array('loss').tolist() == arrays.get_array('test_loss').tolist() == [8, 7, 6, 5]
    assert arrays.get_array('attempt').tolist() == [1, 1, 1, 2]


@pytest.mark.usefixtures('aiida_profile')
def test_a_folder_with_nothing_in_it():
    """A job that was killed before its first iteration left no state."""
    found = read_unfinished(FolderData())
    assert set(found) == {'output_parameters'}
    assert found['output_parameters']['state'] is None
