"""Calculators of ASE as reference potentials, and reference potentials as settings name them."""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, external_calculators
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential

from aiida_autopipec.pacemaker import (
    ZBL,
    AseReference,
    ConfigError,
    DatasetError,
    LabelledStructures,
    LennardJones,
    NamedCalculator,
    ReferencePotential,
)
from aiida_autopipec.pacemaker.reference_potentials import parse_reference_potential
from aiida_autopipec.pacemaker.reference_potentials.named import IN_PROCESS

MORSE = {'epsilon': 0.5, 'r0': 2.5, 'rho0': 4.0}


def crystals() -> LabelledStructures:
    """Return a rattled cell and two atoms alone, without labels."""
    crystal = bulk('Al', cubic=True)
    crystal.rattle(0.1, seed=2)
    images = [crystal, ase.Atoms('Al2', positions=[[0, 0, 0], [0, 0, 2.4]])]
    return LabelledStructures.from_atoms(images, names=['crystal', 'dimer'], require_labels=False)


def test_a_calculator_gives_what_it_gives_to_ase() -> None:
    """Energies, forces and the virial of every structure are those of the calculator."""
    values = AseReference(EMT()).evaluate(crystals())
    crystal, pair = crystals().to_atoms()
    crystal.calc, pair.calc = EMT(), EMT()
    np.testing.assert_allclose(values.energy, [crystal.get_potential_energy(), pair.get_potential_energy()])
    np.testing.assert_allclose(values.forces, np.concatenate([crystal.get_forces(), pair.get_forces()]))
    np.testing.assert_allclose(values.virial[0], -crystal.get_stress() * crystal.get_volume())
    assert np.isnan(values.virial[1]).all()


def test_a_calculator_by_name_is_the_one_of_ase() -> None:
    """Name and parameters make the same calculator as the class of ASE."""
    named = NamedCalculator('morse', MORSE).evaluate(crystals())
    made = AseReference(MorsePotential(**MORSE)).evaluate(crystals())
    np.testing.assert_array_equal(named.energy, made.energy)
    np.testing.assert_array_equal(named.forces, made.forces)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('vasp', 'starts a program of its own'),
        ('espresso', 'starts a program of its own'),
        ('lammpsrun', 'starts a program of its own'),
        ('eam', 'reads files that provenance would not hold'),
        ('tersoff', 'is made of objects'),
        ('lammpslib', 'runs whatever commands'),
        ('Emt', r'ASE does not know \(did you mean `emt`\?\)'),
        ('os', 'ASE does not know: by name there are'),
        ('../x', 'ASE does not know: by name there are'),
        ('qmmm', 'ASE does not know: by name there are'),
        (['emt'], 'ASE does not know'),
    ],
)
def test_what_is_more_than_numbers_has_no_name(name: Any, reason: str) -> None:
    """What comes from settings starts no program and imports nothing else; the sentence says why, and what is left."""
    with pytest.raises(ConfigError, match=f'{reason}.*AseReference'):
        parse_reference_potential({'name': 'ase', 'calculator': name})


def made(name: str) -> str:
    """Return why there is no such calculator, empty where there is one."""
    try:
        NamedCalculator(name)
    except ConfigError as error:
        return str(error)
    return ''


def test_every_name_of_ase_is_made_or_refused_with_a_reason() -> None:
    """No calculator of ASE is said to be unknown to it, and only those of the list are tried."""
    from ase.calculators.names import names

    problems = {name: made(name) for name in names}
    assert not [name for name, problem in problems.items() if 'does not know' in problem]
    assert {name for name, problem in problems.items() if 'not made from settings' not in problem} == set(IN_PROCESS)


def test_a_name_that_the_user_registered_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way in which ASE learns of calculators from elsewhere gives them a name here, too."""
    with pytest.raises(ConfigError, match='ASE does not know'):
        NamedCalculator('mine', MORSE)
    monkeypatch.setitem(external_calculators, 'mine', MorsePotential)
    named = parse_reference_potential({'name': 'ase', 'calculator': 'mine', 'parameters': MORSE})
    assert named.evaluate(crystals()).energy == pytest.approx(
        NamedCalculator('morse', MORSE).evaluate(crystals()).energy
    )


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'epsilon': float('nan')}, 'cannot be written as JSON'),
        ({'epsilon': {1, 2}}, 'cannot be written as JSON'),
        ([1], 'has to be a mapping'),
    ],
)
def test_parameters_that_cannot_be_recorded_are_refused(parameters: Any, message: str) -> None:
    """Parameters are JSON, or provenance would not hold them."""
    with pytest.raises(ConfigError, match=message):
        NamedCalculator('lj', parameters)


def test_a_missing_package_is_named() -> None:
    """A calculator whose package is not installed is refused when it is stated, not when it is used."""
    with pytest.raises(ConfigError, match='`asap` needs a package that is not installed'):
        NamedCalculator('asap')


def test_a_failing_calculator_names_the_structure() -> None:
    """EMT has no parameters for iron: the message says where that is."""
    images = LabelledStructures.from_atoms([ase.Atoms('Fe')], names=['iron'], require_labels=False)
    with pytest.raises(DatasetError, match='the calculator EMT fails for structure `iron`'):
        NamedCalculator('emt').evaluate(images)


def test_numbers_that_are_not_finite_name_the_structure() -> None:
    """Such values would spoil the labels silently."""

    class Broken(Calculator):
        implemented_properties = ('energy', 'forces')

        def calculate(self, *args: Any, **kwargs: Any) -> None:
            super().calculate(*args, **kwargs)
            self.results = {'energy': np.inf, 'forces': np.zeros((len(self.atoms), 3))}

    with pytest.raises(DatasetError, match='no finite energy and forces for structure `crystal`'):
        AseReference(Broken()).evaluate(crystals())


def test_an_arbitrary_calculator_has_no_lines_for_lammps() -> None:
    """Nothing is made up."""
    with pytest.raises(ConfigError, match='no LAMMPS lines are known for the calculator EMT'):
        NamedCalculator('emt').lammps_commands(['Al'])


def test_a_calculator_object_is_not_recorded() -> None:
    """The provenance can hold names and numbers only."""
    with pytest.raises(ConfigError, match='cannot be recorded'):
        AseReference(EMT()).as_dict()


@pytest.mark.parametrize(
    'potential',
    [
        ZBL(3, 4),
        LennardJones({'Al': {'epsilon': 0.1, 'sigma': 2.0, 'cutoff': 5}}, shift=True),
        LennardJones({'Al': {'epsilon': 0.1, 'sigma': 2.0, 'cutoff': 5}}, mixing='sixthpower'),
        NamedCalculator('morse', MORSE),
    ],
    ids=['zbl', 'lj', 'lj, mixed', 'ase'],
)
def test_settings_make_the_same_potential_again(potential: ReferencePotential) -> None:
    """What is recorded is all that there is to a potential."""
    assert parse_reference_potential(potential.as_dict()) == potential


@pytest.mark.parametrize(
    ('mapping', 'message'),
    [
        ('zbl', "has to be a mapping with `name`, not 'zbl'"),
        ({'inner': 1.0}, 'the `name` of a reference potential is None; possible are zbl, lennard_jones, ase'),
        ({'name': 'ZBL'}, "is 'ZBL'; possible are"),
        ({'name': 'zbl', 'inner': 1.0}, '`zbl` lacks `outer`'),
        (
            {'name': 'zbl', 'inner': 1.0, 'outer': 2.0, 'cutoff': 3.0},
            '`zbl` has no `cutoff`; its keys are inner, outer',
        ),
        ({'name': 'ase', 'calculator': 'emt', 'ase_calculator': 1}, '`ase` has no `ase_calculator`'),
    ],
)
def test_settings_that_name_no_potential_are_refused(mapping: Any, message: str) -> None:
    """The message says which key, and what is possible."""
    with pytest.raises(ConfigError, match=message):
        parse_reference_potential(mapping)
