"""Pair potentials: their formulas, derivatives, and what they refuse."""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
import pytest
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from aiida_autopipec.pacemaker import ZBL, ConfigError, DatasetError, LabelledStructures, LennardJones
from aiida_autopipec.pacemaker.reference_potentials import pairs as pairs_module
from aiida_autopipec.pacemaker.reference_potentials.zbl import bare

TERMS = {'epsilon': 0.2, 'sigma': 1.5, 'cutoff': 4.0}
# cutoffs that no pair of the structures meets: the force of Lennard-Jones jumps there
LJ = LennardJones({'Al': {**TERMS, 'cutoff': 5.03}, 'Ni': {**TERMS, 'cutoff': 4.57}}, shift=True, mixing='arithmetic')


def unlabelled(*images: ase.Atoms) -> LabelledStructures:
    """Return structures without labels."""
    return LabelledStructures.from_atoms(images, require_labels=False)


def dimer(symbols: str, distance: float) -> ase.Atoms:
    """Return two atoms alone."""
    return ase.Atoms(symbols, positions=[[0, 0, 0], [0, 0, distance]])


# The published formula


@pytest.mark.parametrize(('first', 'second'), [(1, 1), (6, 8), (13, 28), (29, 29), (92, 118)])
def test_the_bare_repulsion_is_that_of_the_book(first: int, second: int) -> None:
    """Ziegler, Biersack and Littmark, with the digits of the book, which LAMMPS has one more of."""
    r = np.linspace(0.05, 3.0, 60)
    x = r * (first**0.23 + second**0.23) / (0.8854 * 0.529177)
    phi = 0.1818 * np.exp(-3.2 * x) + 0.5099 * np.exp(-0.9423 * x) + 0.2802 * np.exp(-0.4029 * x)
    phi += 0.02817 * np.exp(-0.2016 * x)
    published = 14.3996 * first * second / r * phi
    energies, _, _ = bare(r, np.full(60, first), np.full(60, second))
    np.testing.assert_allclose(energies, published, rtol=2e-3)


def test_derivatives_of_the_bare_repulsion_are_derivatives() -> None:
    """First and second derivatives agree with differences of energies and of first derivatives."""
    r, h = np.linspace(0.3, 3.0, 30), 1e-5
    first, second = np.full(30, 13), np.full(30, 28)
    _, slopes, curvatures = bare(r, first, second)
    above, below = bare(r + h, first, second), bare(r - h, first, second)
    np.testing.assert_allclose(slopes, (above[0] - below[0]) / (2 * h), rtol=1e-8)
    np.testing.assert_allclose(curvatures, (above[1] - below[1]) / (2 * h), rtol=1e-8)


def test_below_inner_the_force_is_that_of_the_bare_repulsion() -> None:
    """The switching shifts energies by a constant of the pair there, and no forces."""
    near = np.array([0.4, 1.0, 1.9])
    z = np.full(3, 13)
    energies, slopes = ZBL(2.0, 3.0).pair(near, z, z)
    bare_energies, bare_slopes, _ = bare(near, z, z)
    np.testing.assert_allclose(slopes, bare_slopes, rtol=1e-14)
    np.testing.assert_allclose(energies - bare_energies, (energies - bare_energies)[0], atol=1e-9)


def test_at_outer_energy_force_and_curvature_end() -> None:
    """Towards the outer radius the energy falls off as the third power of the distance to it."""
    zbl = ZBL(2.0, 3.0)
    z = np.full(2, 29)
    energies, slopes = zbl.pair(np.array([3.0 - 1e-3, 3.0 - 2e-3]), z, z)
    assert energies[1] / energies[0] == pytest.approx(8, rel=1e-2)
    assert slopes[1] / slopes[0] == pytest.approx(4, rel=1e-2)
    assert zbl.pair(np.array([3.0, 5.0]), z, z)[0].tolist() == [0, 0]


def test_lennard_jones_is_its_formula() -> None:
    """The minimum is at 2^(1/6) sigma with the depth epsilon; with a shift the energy at the cutoff is zero."""
    plain, shifted = LennardJones({'Ar': TERMS}), LennardJones({'Ar': TERMS}, shift=True)
    images = unlabelled(dimer('Ar2', 2 ** (1 / 6) * 1.5), dimer('Ar2', 4.0 - 1e-9), dimer('Ar2', 4.0))
    values = plain.evaluate(images)
    edge = 4 * 0.2 * ((1.5 / 4) ** 12 - (1.5 / 4) ** 6)
    np.testing.assert_allclose(values.energy, [-0.2, edge, 0], rtol=1e-8)
    np.testing.assert_allclose(values.forces[:2], 0, atol=1e-12)
    np.testing.assert_allclose(shifted.evaluate(images).energy, [-0.2 - edge, 0, 0], atol=1e-9)


def test_stated_pairs_win_over_mixed_ones() -> None:
    """Mixing fills in only what is not stated, whatever the order of the two elements."""
    stated = {'epsilon': 1.0, 'sigma': 1.1, 'cutoff': 3.0}
    potential = LennardJones({'Al': TERMS, 'Ni': TERMS, 'Ni-Al': stated}, mixing='geometric')
    assert potential.terms('Al', 'Ni')._asdict() == potential.terms('Ni', 'Al')._asdict() == stated


# Derivatives, and one structure after the other


@pytest.mark.parametrize('potential', [ZBL(2.0, 4.1), LJ], ids=['zbl', 'lj'])
@pytest.mark.parametrize('kind', ['smaller than the cutoff', 'skewed', 'wire'])
def test_forces_and_stress_are_derivatives_of_the_energy(
    structures: dict[str, ase.Atoms], kind: str, potential: Any
) -> None:
    """Finite differences give the same, images of an atom with itself included."""
    image = structures[kind].copy()
    image.calc = potential.calculator()
    np.testing.assert_allclose(image.get_forces(), calculate_numerical_forces(image, 1e-5), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(image.get_stress(), calculate_numerical_stress(image, 1e-6), rtol=1e-6, atol=1e-7)


def test_a_dataset_gives_what_its_structures_give(
    structures: dict[str, ase.Atoms], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All structures at once, in blocks of whatever size, give the values of each by itself."""
    images = [*structures.values(), ase.Atoms('Al'), dimer('Al2', 30.0)]
    zbl = ZBL(2.0, 4.0)
    whole = zbl.evaluate(unlabelled(*images))
    monkeypatch.setattr(pairs_module, 'MAX_PAIRS', 50)
    blocks = zbl.evaluate(unlabelled(*images))
    single = [zbl.evaluate(unlabelled(image)) for image in images]
    for name in ('energy', 'forces', 'virial'):
        expected = np.concatenate([getattr(values, name) for values in single])
        np.testing.assert_allclose(getattr(whole, name), expected, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(getattr(blocks, name), expected, rtol=1e-13, atol=1e-13)
    assert whole.energy[-2:].tolist() == [0, 0]


def test_a_dimer_has_no_stress() -> None:
    """Without a volume there is none; energy and forces are there."""
    image = dimer('Al2', 1.0)
    image.calc = ZBL(2.0, 3.0).calculator()
    assert image.get_forces()[0, 2] < -10
    with pytest.raises(ase.calculators.calculator.PropertyNotImplementedError):
        image.get_stress()


# What is refused


def test_atoms_at_the_same_place_are_refused() -> None:
    """The message names the structure."""
    images = LabelledStructures.from_atoms(
        [ase.Atoms('Al'), dimer('Al2', 0.0)], names=['fine', 'double'], require_labels=False
    )
    with pytest.raises(DatasetError, match='`double` has two atoms at the same place'):
        ZBL(2.0, 3.0).evaluate(images)


def test_an_overflow_is_refused() -> None:
    """Atoms so close that the energy is no number any more are named, too."""
    images = LabelledStructures.from_atoms([dimer('Al2', 1e-40)], names=['collapsed'], require_labels=False)
    with pytest.raises(DatasetError, match='`collapsed` is not finite'):
        LennardJones({'Al': TERMS}).evaluate(images)


@pytest.mark.parametrize(
    ('cell', 'pbc'),
    [
        ([[3, 0, 0], [3, 1e-5, 0], [0, 0, 3]], (True, True, True)),
        ([[3, 0, 0], [3, 0, 0], [0, 0, 3]], (True, True, False)),
        ([[1e-5, 0, 0], [0, 3, 0], [0, 0, 3]], (True, False, False)),
    ],
)
def test_flat_cells_are_refused(cell: Any, pbc: tuple[bool, bool, bool]) -> None:
    """The message names the structure; the library of neighbours would crash, or not end."""
    image = ase.Atoms('Al', cell=cell, pbc=pbc)
    images = LabelledStructures.from_atoms([image], names=['flat'], require_labels=False)
    with pytest.raises(DatasetError, match='structure `flat` has periodic cell vectors that span next to nothing'):
        ZBL(2.0, 3.0).evaluate(images)


@pytest.mark.parametrize(
    ('inner', 'outer', 'message'),
    [
        (3.0, 3.0, '`inner` is 3 Å, but has to be smaller than `outer`'),
        (0.0, 3.0, '`inner` is 0.0, but has to be positive'),
        (1.0, float('nan'), '`outer` is nan, but has to be a finite number'),
        ('1', 3.0, "`inner` is '1', but has to be a finite number"),
        (True, 3.0, '`inner` is True, but has to be a finite number'),
    ],
)
def test_impossible_radii_are_refused(inner: Any, outer: Any, message: str) -> None:
    """The message says which radius, and what it should be."""
    with pytest.raises(ConfigError, match=message):
        ZBL(inner, outer)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'pairs': {}}, '`pairs` has to be a mapping'),
        ({'pairs': {'Xx': TERMS}}, "'Xx' is not made of chemical symbols; name a pair as Al, AlNi or Al-Ni"),
        ({'pairs': {'AlNiCu': TERMS}}, 'names 3 elements'),
        ({'pairs': {'AlNi': TERMS, 'Ni-Al': TERMS}}, '`pairs` states AlNi twice'),
        ({'pairs': {'Al': {'epsilon': 1.0}}}, '`pairs.Al` has to be a mapping of epsilon, sigma, cutoff to numbers'),
        ({'pairs': {'Al': {**TERMS, 'sigma': 0}}}, '`pairs.Al.sigma` is 0, but has to be positive'),
        ({'pairs': {'Al': TERMS}, 'shift': 'yes'}, "`shift` is 'yes', but has to be true or false"),
        ({'pairs': {'Al': TERMS}, 'mixing': 'lorentz'}, "`mixing` is 'lorentz'; possible are geometric"),
    ],
)
def test_impossible_parameters_of_lennard_jones_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The message says which pair and key, and what they should be."""
    with pytest.raises(ConfigError, match=message):
        LennardJones(**arguments)


@pytest.mark.parametrize(
    ('mixing', 'message'),
    [(None, 'no parameters for AlNi: add them to `pairs`, or state `mixing`'), ('geometric', 'for NiNi: add them')],
)
def test_a_pair_without_parameters_is_refused(mixing: str | None, message: str) -> None:
    """Nothing is assumed about pairs that are not stated."""
    potential = LennardJones({'Al': TERMS}, mixing=mixing)
    with pytest.raises(ConfigError, match=message):
        potential.evaluate(unlabelled(dimer('AlNi', 2.0)))
    with pytest.raises(ConfigError, match=message):
        potential.lammps_commands(['Al', 'Ni'])


def test_unknown_elements_have_no_lines_for_lammps() -> None:
    """A misspelt element is named."""
    with pytest.raises(ConfigError, match="'al' is no chemical symbol"):
        ZBL(1.0, 2.0).lammps_commands(['al'])
