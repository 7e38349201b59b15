"""Values for chosen structures of a dataset in parts."""

from __future__ import annotations

import ase
import numpy as np
import pytest

from aiida_autopipec.pacemaker import ZBL, LabelledStructures
from aiida_autopipec.pacemaker.reference_potentials.rows import evaluate_rows


@pytest.mark.parametrize('rows', [[0, 1, 2, 3, 4], [4, 0, 3], [2], []])
def test_chosen_rows_come_in_the_order_asked_for(rows: list[int]) -> None:
    """Whatever parts the structures stand in, energies and forces are those of the rows."""
    images = [ase.Atoms('Al' * (n + 1), positions=[[0, 0, 1.5 * k] for k in range(n + 1)]) for n in range(5)]
    whole = LabelledStructures.from_atoms(images, require_labels=False)
    zbl = ZBL(1.0, 3.0)
    energy, forces = evaluate_rows(
        zbl, [whole.stretch(0, 2), whole.stretch(2, 3), whole.stretch(3, 5)], np.array(rows, dtype=np.int64)
    )
    values = zbl.evaluate(whole)
    np.testing.assert_allclose(energy, values.energy[rows])
    expected = [values.forces[whole.offsets[row] : whole.offsets[row + 1]] for row in rows]
    np.testing.assert_allclose(forces, np.concatenate([np.zeros((0, 3)), *expected]))
