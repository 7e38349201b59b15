"""The size of a basis, computed without Pacemaker."""

from __future__ import annotations

import pickle
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import validate_config
from aiida_autopipec.pacemaker.config.blocks import LARGEST_L_BY_ORDER
from aiida_autopipec.pacemaker.config.counts import compositions, couplings, functions_of_order, label_sets


@pytest.mark.pacemaker
@pytest.mark.skipif(find_spec('pyace') is None, reason="needs the real Pacemaker: pip install '.[pacemaker]'")
def test_the_numbers_of_couplings_are_those_of_pacemaker() -> None:
    """For every group of equal neighbours and every lmax there are as many functions as in Pacemaker's own table."""
    spec = find_spec('pyace')
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / 'data' / 'mus_ns_uni_to_rawlsLS_np_rank.pckl'
    table = pickle.loads(path.read_bytes())  # the file that Pacemaker installs and reads itself
    known = {labels: functions for labels, functions in table.items() if len(labels) <= len(LARGEST_L_BY_ORDER)}
    assert len(known) > 70
    for labels, functions in known.items():
        multiplicities = tuple(number for _, number in sorted(Counter(labels).items()))
        for l_max in range(LARGEST_L_BY_ORDER[len(labels) - 1] + 1):
            expected = sum(max(momenta) <= l_max for momenta, _ in functions)
            assert couplings(multiplicities, l_max) == expected, (multiplicities, l_max)


def test_compositions_respect_the_order() -> None:
    """Two and one is not one and two; there are 2^(n-1) of them."""
    assert sorted(compositions(3)) == [(1, 1, 1), (1, 2), (2, 1), (3,)]
    assert len(list(compositions(6))) == 32


@pytest.mark.parametrize(
    ('size', 'n_radial', 'n_species', 'expected'),
    [(1, 3, 1, 3), (2, 3, 1, 3), (1, 2, 2, 2), (2, 1, 2, 1), (1, 5, 3, 0), (2, 1, 3, 1)],
)
def test_every_other_element_is_a_neighbour(size: int, n_radial: int, n_species: int, expected: int) -> None:
    """Labels are counted if all elements but the central one occur: one neighbour cannot be two elements."""
    assert label_sets(size, n_radial, n_species) == expected


def test_pair_functions_are_radial_functions() -> None:
    """Of order one there is a function for each radial function of a neighbour."""
    assert functions_of_order(1, n_radial=15, l_max=0, n_species=1) == 15
    assert functions_of_order(1, n_radial=15, l_max=0, n_species=2) == 15


def test_three_body_functions_by_hand() -> None:
    """Two neighbours share l: for each unordered pair of radial functions one function per l."""
    assert functions_of_order(2, n_radial=6, l_max=3, n_species=1) == 21 * 4


def test_the_limit_is_shared_by_the_blocks(unary: dict[str, Any], binary: dict[str, Any]) -> None:
    """Each of the four blocks of two elements gets half of the number per element at most."""
    binary['potential']['functions']['number_of_functions_per_element'] = 10
    size = validate_config(binary).basis_size
    assert size is not None
    assert size.functions == {('Al',): 5, ('Ni',): 5, ('Al', 'Ni'): 5, ('Ni', 'Al'): 5}
    assert size.functions_per_element == {'Al': 10, 'Ni': 10}


def test_parameters_by_hand(unary: dict[str, Any]) -> None:
    """Two coefficients for each of 9 functions of two densities, and 3 x 2 x 2 radial ones."""
    size = validate_config(unary).basis_size
    assert size is not None
    assert (size.n_functions, size.n_parameters, size.parameters_of('Al')) == (9, 30, 30)


def test_a_pair_shares_its_radial_functions(binary: dict[str, Any]) -> None:
    """An atom depends on the bonds of its own element and of the pair, not on those of the other element."""
    size = validate_config(binary).basis_size
    assert size is not None
    assert size.radial == {('Al', 'Al'): 12, ('Al', 'Ni'): 4, ('Ni', 'Ni'): 12}
    assert size.parameters_of('Al') == 2 * (9 + 6) + 12 + 4
    assert size.n_parameters == 2 * 2 * (9 + 6) + 12 + 4 + 12
