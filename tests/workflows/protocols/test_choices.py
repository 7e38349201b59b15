"""What a protocol chooses from the data, and what the user states otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.config import validate_config
from aiida_autopipec.pacemaker.cost import DataFacts
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError
from aiida_autopipec.workflows.protocols.inputs import ProtocolSettings, settings_from_protocol
from aiida_autopipec.workflows.protocols.loading import merged, protocol_names, protocol_settings

PROTOCOLS = ('fast', 'balanced', 'accurate')
EVALUATORS = ('pyace', 'tensorpot')


def crystals(n: int, *symbols: str, spread: float = 0.1, size: int = 2) -> list[Atoms]:
    """Return cells of aluminium with other elements in them, with made-up labels."""
    images = []
    for number in range(n):
        image = bulk('Al', 'fcc', 4.0 + 0.002 * number, cubic=True).repeat(size)
        image.symbols[:] = np.resize(['Al', *symbols], len(image))
        image.calc = SinglePointCalculator(
            image, energy=len(image) * (spread * number / n - 3), forces=np.zeros((len(image), 3))
        )
        images.append(image)
    return images


def facts(images: list[Atoms], *, relative: bool = True) -> DataFacts:
    """Return facts about images; by default their energies are relative to a reference."""
    structures = LabelledStructures.from_atoms(images)
    if relative:
        structures = structures.replace(energy_corrected=structures.energy)
    return DataFacts.of([structures])


def chosen(images: list[Atoms], **options: Any) -> ProtocolSettings:
    """Return what a protocol makes for images."""
    return settings_from_protocol(facts(images), **options)


@pytest.mark.parametrize('evaluator', EVALUATORS)
@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('symbols', [(), ('Cu',), ('Cu', 'Ni'), ('Cu', 'Ni', 'Pd', 'Ag', 'Au')])
def test_every_protocol_is_valid_for_any_elements(protocol: str, evaluator: str, symbols: tuple[str, ...]) -> None:
    """The settings pass their own checks, for one element and for six, and the basis stays within its limit."""
    settings = chosen(crystals(4, *symbols), protocol=protocol, evaluator=evaluator)
    config = validate_config(settings.config)
    assert config.backend.evaluator == evaluator
    limit = settings.config['potential']['functions']['number_of_functions_per_element']
    assert config.basis_size is not None
    assert max(config.basis_size.functions_per_element.values()) <= limit
    assert min(config.basis_size.functions.values()) > 0


def test_cutoff_follows_the_longest_nearest_neighbour_distance() -> None:
    """`rcut` is a multiple of that distance, in tenths of an Å, upwards."""
    distance = 4.0 / np.sqrt(2)
    rcut = chosen(crystals(1)).config['potential']['bonds']['ALL']['rcut']
    assert rcut == pytest.approx(np.ceil(22 * distance) / 10)


@pytest.mark.parametrize(
    ('stated', 'rcut'), [({'largest_cutoff_angstrom': 5.5}, 5.5), ({'smallest_cutoff_angstrom': 6.8}, 6.8)]
)
def test_cutoff_stays_within_limits(stated: dict[str, float], rcut: float) -> None:
    """The smallest and the largest cutoff count more than the distance, and the user may state them."""
    settings = chosen(crystals(2), overrides={'rules': stated})
    assert settings.config['potential']['bonds']['ALL']['rcut'] == rcut


def test_basis_grows_with_the_rarest_element() -> None:
    """Functions per element are the atoms of the rarest element over those that each function needs."""
    images = crystals(20)  # 640 atoms
    limit = chosen(images, evaluator='tensorpot').config['potential']['functions']
    assert limit['number_of_functions_per_element'] == 128
    images[0].symbols[:] = 'Cu'  # 32 of them
    images[0].calc = SinglePointCalculator(images[0], energy=-3.0, forces=np.zeros((32, 3)))
    settings = chosen(images, evaluator='tensorpot')
    assert settings.config['potential']['functions']['number_of_functions_per_element'] == 10
    assert any('32 atoms of Cu' in reason for reason in settings.reasons)


def test_a_small_basis_is_not_grown_in_steps() -> None:
    """The ladder of the accurate protocol is left out below a number of functions."""
    few = chosen(crystals(5), protocol='accurate', evaluator='tensorpot')
    many = chosen(crystals(20), protocol='accurate', evaluator='tensorpot')
    assert 'ladder_step' not in few.config['fit']
    assert many.config['fit']['ladder_step'] == [10, 0.25]


def test_weights_follow_the_spread_of_energies() -> None:
    """High energies weigh less from a spread of 1 eV/atom on, and no structure is dropped for its energy."""
    assert 'weighting' not in chosen(crystals(10, spread=0.5)).config['fit']
    weighting = chosen(crystals(10, spread=3.0)).config['fit']['weighting']
    assert weighting['energy'] == 'cohesive'
    assert weighting['DEup'] >= 100


def test_weights_of_the_data_are_kept() -> None:
    """Structures that bring weights are weighted by them."""
    structures = LabelledStructures.from_atoms(crystals(10, spread=3.0))
    structures = structures.replace(
        energy_corrected=structures.energy, energy_weights=np.ones(10), force_weights=np.ones(structures.n_atoms)
    )
    settings = settings_from_protocol(DataFacts.of([structures]))
    assert 'weighting' not in settings.config['fit']
    assert 'weights: those of the data' in settings.reasons


def test_batches_have_about_the_same_number_of_atoms() -> None:
    """Large structures make small batches, and a batch is never larger than the data."""
    large = chosen(crystals(60, size=3), evaluator='tensorpot').config['backend']['batch_size']
    small = chosen(crystals(60, size=1), evaluator='tensorpot').config['backend']['batch_size']
    assert (large, small) == (round(1000 / 108), 60)


def test_a_test_set_needs_enough_structures_and_no_other_one() -> None:
    """A tenth is set aside from 30 structures on, unless test data are given or the user says otherwise."""
    images = crystals(30, size=1)
    assert chosen(images).split == {'test_fraction': 0.1, 'seed': 0}
    assert chosen(images[:29]).split is None
    assert settings_from_protocol(facts(images), has_test_data=True).split is None
    assert chosen(images, overrides={'split': None}).split is None
    assert chosen(images, overrides={'split': {'seed': 4}}).split == {'test_fraction': 0.1, 'seed': 4}


def test_early_stopping_that_is_asked_for_needs_a_test_set() -> None:
    """What the user asks for is not dropped where it cannot be had."""
    images = crystals(29, size=1)
    with pytest.raises(ConfigError, match='needs a test set'):
        chosen(images, overrides={'early_stopping': 20})


def test_reference_comes_from_isolated_atoms() -> None:
    """Total energies are taken relative to the isolated atoms of the data."""
    alone = Atoms('Al', cell=[20, 20, 20], pbc=True)
    alone.calc = SinglePointCalculator(alone, energy=-0.1, forces=np.zeros((1, 3)))
    settings = settings_from_protocol(facts([*crystals(3), alone], relative=False))
    assert settings.reference == {'method': 'isolated_atoms'}


def test_reference_is_never_made_up() -> None:
    """Without isolated atoms the user has to state a reference; relative energies need none."""
    total = facts(crystals(3), relative=False)
    with pytest.raises(DatasetError, match=r'no isolated atom of Al.*least_squares'):
        settings_from_protocol(total)
    stated = {'reference': {'method': 'least_squares'}}
    assert settings_from_protocol(total, overrides=stated).reference == stated['reference']
    assert chosen(crystals(3)).reference is None


def test_two_stages_weight_forces_and_then_energies() -> None:
    """The first stage has a large kappa, the second a small one; otherwise there is no second stage."""
    settings = chosen(crystals(3), two_stages=True)
    assert settings.refinement is not None
    assert settings.config['fit']['loss']['kappa'] > 0.5 > settings.refinement['loss']['kappa']
    assert chosen(crystals(3)).refinement is None
    with pytest.raises(ConfigError, match="`two_stages` has to be true or false, but is 'yes'"):
        chosen(crystals(3), two_stages='yes')


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        ({'config': {'fit': {'maxitr': 3}}}, 'fit.maxiter'),
        ({'config': {'potential': {'bonds': {'ALL': {'rcutt': 3}}}}}, 'rcut'),
        ({'rules': {'environments_per_functions': 3}}, 'did you mean `environments_per_function`'),
        ({'rules': {'largest_basis': -1}}, '`rules.largest_basis` is -1'),
    ],
)
def test_unknown_settings_are_refused_with_the_nearest_name(overrides: dict[str, Any], sentence: str) -> None:
    """A misspelt setting is an error that names what was probably meant."""
    with pytest.raises(ConfigError, match=sentence.replace('.', r'\.')):
        chosen(crystals(2), overrides=overrides)


def test_overrides_count_more_than_the_data() -> None:
    """What the user states stays, key by key, and `None` takes a key away."""
    stated = {'fit': {'maxiter': 7, 'min_relative_train_loss_per_iter': None, 'early_stopping_patience': None}}
    bonds = {'bonds': {'ALL': {'rcut': 4.4}}}
    settings = chosen(crystals(2), overrides={'config': {**stated, 'potential': bonds}})
    assert settings.config['fit']['maxiter'] == 7
    assert 'early_stopping_patience' not in settings.config['fit']
    assert settings.config['potential']['bonds']['ALL'] == {
        'radbase': 'SBessel',
        'radparameters': [5.25],
        'rcut': 4.4,
        'dcut': 0.01,
        'NameOfCutoffFunction': 'cos',
    }


def test_the_evaluator_of_the_overrides_decides() -> None:
    """An evaluator among the overrides brings what the protocol says about it."""
    settings = chosen(crystals(9), overrides={'config': {'backend': {'evaluator': 'tensorpot'}}})
    assert settings.config['backend']['batch_size'] == 9
    assert 'evaluator tensorpot' in settings.reasons[0]


def test_data_without_neighbours_are_refused() -> None:
    """Nothing can be learned of atoms that never meet."""
    alone = Atoms('Al', cell=[20, 20, 20], pbc=True)
    alone.calc = SinglePointCalculator(alone, energy=-0.1, forces=np.zeros((1, 3)))
    with pytest.raises(DatasetError, match='no atom of the data has a neighbour'):
        chosen([alone])


def test_names_of_protocols() -> None:
    """There are three protocols, each with a sentence; a wrong name is answered with the nearest."""
    assert set(protocol_names()) == set(PROTOCOLS)
    assert len(set(protocol_names().values())) == len(PROTOCOLS)
    with pytest.raises(ConfigError, match='did you mean `balanced`'):
        protocol_settings('balance', 'pyace')
    with pytest.raises(ConfigError, match='did you mean `tensorpot`'):
        protocol_settings('fast', 'tensorpott')


def test_merging_goes_key_by_key() -> None:
    """Mappings are merged at every depth, lists are replaced, `None` takes a key away, and nothing is changed."""
    first = {'a': {'b': 1, 'c': [1, 2]}, 'd': 1}
    assert merged(first, {'a': {'c': [3], 'e': {'f': None, 'g': 2}}, 'd': None}) == {
        'a': {'b': 1, 'c': [3], 'e': {'g': 2}}
    }
    assert first == {'a': {'b': 1, 'c': [1, 2]}, 'd': 1}
