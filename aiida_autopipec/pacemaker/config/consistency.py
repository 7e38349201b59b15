"""Checks that the sections of a configuration agree with each other."""

from __future__ import annotations

from collections.abc import Iterator

from aiida_autopipec.pacemaker.config.backend import BackendSettings
from aiida_autopipec.pacemaker.config.data import SHIFT, DataSettings
from aiida_autopipec.pacemaker.config.fit import FitSettings
from aiida_autopipec.pacemaker.config.optimizer import TENSORPOT_OPTIMIZERS
from aiida_autopipec.pacemaker.config.potential import GivenPotential, PotentialShape
from aiida_autopipec.pacemaker.config.trainable import named_elements

Problem = tuple[tuple[str, ...], str]


def config_consistency(
    potential: PotentialShape | GivenPotential | None,
    data: DataSettings,
    fit: FitSettings,
    backend: BackendSettings,
) -> Iterator[Problem]:
    """Yield what is wrong between the sections."""
    if not isinstance(potential, PotentialShape) and fit.ladder_step is not None:
        # without a section Pacemaker empties the given potential, with reset it ends in KeyError: 'element'
        yield (
            ('fit', 'ladder_step'),
            'needs a potential section with elements, embeddings, bonds and functions to grow to',
        )
    if isinstance(potential, PotentialShape):
        yield from _reference_problems(data, potential.elements)
        yield from _trainable_problems(fit, potential.elements)
        yield from _repulsion_problems(fit, potential)
    yield from _pyace_problems(fit) if backend.evaluator == 'pyace' else _tensorpot_problems(fit, potential)


def callback_problems(fit: FitSettings, *, allowed: bool) -> Iterator[Problem]:
    """Yield what is wrong with callbacks and the consent to them."""
    if fit.callbacks is not None and not allowed:
        text = 'would import and run code on the computer; if you mean it, set the top-level key allow_callbacks: true'
        yield ('fit', 'callbacks'), text
    if fit.callbacks is None and allowed:
        yield ('allow_callbacks',), 'has no effect without fit.callbacks'


def _reference_problems(data: DataSettings, elements: tuple[str, ...]) -> Iterator[Problem]:
    energies = data.reference_energy
    if not isinstance(energies, dict):
        return
    key = ('data', 'reference_energy')
    missing = [element for element in elements if element not in energies]
    if missing:
        yield key, f'must give an energy to {", ".join(missing)}, which Pacemaker would take for 0 eV'
    foreign = sorted(set(energies) - set(elements) - {SHIFT})
    if foreign:
        yield key, f'names {", ".join(foreign)}, which potential.elements {list(elements)} does not list'


def _trainable_problems(fit: FitSettings, elements: tuple[str, ...]) -> Iterator[Problem]:
    for name, symbols in named_elements(fit.trainable_parameters).items():
        foreign = sorted(set(symbols) - set(elements))
        if foreign:
            text = f'{name} names {", ".join(foreign)}, which potential.elements {list(elements)} does not list'
            yield ('fit', 'trainable_parameters'), text


def _repulsion_problems(fit: FitSettings, potential: PotentialShape) -> Iterator[Problem]:
    explicit = [key for key, bond in potential.bonds.items() if bond.r_in is not None]
    if fit.repulsion == 'auto' and explicit:
        yield ('fit', 'repulsion'), f'would overwrite r_in of potential.bonds.{explicit[0]}; keep one of the two'


def _pyace_problems(fit: FitSettings) -> Iterator[Problem]:
    if fit.loss.w_orth > 0:
        yield ('fit', 'loss', 'w_orth'), 'is ignored by evaluator pyace; use tensorpot or leave it out'
    if fit.min_relative_test_loss_per_iter is not None:
        text = 'never stops a fit with evaluator pyace, which computes no test loss; use the train loss or tensorpot'
        yield ('fit', 'min_relative_test_loss_per_iter'), text


def _tensorpot_problems(fit: FitSettings, potential: PotentialShape | GivenPotential | None) -> Iterator[Problem]:
    if fit.optimizer not in TENSORPOT_OPTIMIZERS:
        allowed = ', '.join(TENSORPOT_OPTIMIZERS)
        yield ('fit', 'optimizer'), f'must be one of {allowed} with evaluator tensorpot, not {fit.optimizer}'
    bonds = potential.bonds if isinstance(potential, PotentialShape) else {}
    for key, bond in bonds.items():
        if bond.radbase == 'ChebLinear':
            yield ('potential', 'bonds', key, 'radbase'), 'must not be ChebLinear with evaluator tensorpot'
