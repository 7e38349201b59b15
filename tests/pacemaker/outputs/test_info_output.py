"""What real runs of pace_info and pace_timing printed."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import parse_pace_info, parse_pace_timing, parse_potential


def test_shape_of_a_potential(read):
    """Functions, radial and angular sizes come by order."""
    info = parse_pace_info(read('info', 'stdout.txt'))
    shape = info.shapes['Cu']
    assert (info.total_functions, info.cutoff) == (9, 4.5)
    assert (shape.n_functions, shape.nradmax, shape.lmax) == ((3, 6), (3, 2), (0, 1))
    assert (shape.n_densities, shape.embedding) == (2, 'FinnisSinclairShiftedScaled')
    assert shape.embedding_parameters == (1.0, 1.0, 1.0, 0.5)


def test_every_ordered_pair_has_its_bond(read):
    """Two elements have four bonds."""
    info = parse_pace_info(read('info_binary', 'stdout.txt'))
    assert set(info.bonds) == {('Al', 'Al'), ('Al', 'Cu'), ('Cu', 'Al'), ('Cu', 'Cu')}
    bond = info.bonds['Al', 'Cu']
    assert (bond.radbase, bond.rcut, bond.r_in, bond.inner_cutoff_type) == ('ChebExpCos', 4.5, 0.0, 'distance')


@pytest.mark.parametrize(('info', 'fit'), [('info', 'ok'), ('info_binary', 'ok_binary')])
def test_pace_info_agrees_with_the_file(read, info, fit):
    """The program counts the functions that the potential lists."""
    potential = parse_potential(read(fit, 'output_potential.yaml'))
    shown = parse_pace_info(read(info, 'stdout.txt'))
    assert {element: sum(shape.n_functions) for element, shape in shown.shapes.items()} == potential.n_functions
    assert (shown.total_functions, shown.cutoff) == (potential.total_functions, potential.cutoff)


def test_timings_by_prototype(read):
    """Times are µs/atom, overall and by crystal structure."""
    timing = parse_pace_timing(read('timing', 'stdout.txt'))
    assert (timing.functions_of_order_one, timing.functions_of_higher_order) == ({'Cu': 3}, {'Cu': 6})
    assert set(timing.prototypes) == {'bcc', 'fcc'}
    assert timing.prototypes['fcc'].n_atoms == 32
    assert 5 < timing.prototypes['bcc'].n_neighbours < 50
    assert timing.time >= 0
    assert timing.cutoff == 4.5


def test_the_spread_of_one_sample_is_none(read):
    """``nan`` in the table stands for one sample."""
    timing = parse_pace_timing(read('timing_binary', 'stdout.txt'))
    assert set(timing.functions_of_order_one) == {'Al', 'Cu'}
    assert len(timing.prototypes) == 1
    assert timing.time_std is None


@pytest.mark.parametrize('length', [0, 200, 900])
def test_outputs_that_break_off_are_errors(read, length):
    """A program that was killed leaves no result."""
    with pytest.raises(OutputError, match='did not finish'):
        parse_pace_info(read('info', 'stdout.txt')[:length])
    with pytest.raises(OutputError, match='did not finish'):
        parse_pace_timing(read('timing', 'stdout.txt')[:length])
