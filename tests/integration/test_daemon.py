"""The whole way by a real daemon."""

from __future__ import annotations

import pytest
from aiida.orm import CalcJobNode

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

pytestmark = [pytest.mark.daemon, pytest.mark.pacemaker]


def test_the_daemon_trains_a_potential(submit_and_wait, programs, make_atoms, config):
    """Submitted to a daemon, every step is saved and taken up again, and the potential comes out."""
    builder = TrainPotentialWorkChain.get_builder()
    builder.datasets = {'a': PaceDatasetData.from_atoms(make_atoms(16))}
    builder.config = config
    builder.split = {'test_fraction': 0.25, 'seed': 1}
    builder.selection = {'max_structures': 8}
    builder.reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0}}
    builder.pace_train.code = programs['pacemaker']
    builder.pace_train.codes.yaml2yace = programs['pace_yaml2yace']
    builder.pace_select.code = programs['pace_select']
    node = submit_and_wait(builder, seconds=180)
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    assert {'potential', 'lammps_potential', 'predictions', 'test_set'} <= set(node.outputs)
    jobs = [child for child in node.called_descendants if isinstance(child, CalcJobNode)]
    assert [job.exit_status for job in jobs] == [0, 0]
