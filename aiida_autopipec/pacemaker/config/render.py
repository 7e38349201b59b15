"""The one place where file names meet the settings: the final ``input.yaml``."""

from __future__ import annotations

from collections.abc import Sequence

from aiida_autopipec.pacemaker.config.dump import dump_yaml
from aiida_autopipec.pacemaker.config.potential import PotentialShape
from aiida_autopipec.pacemaker.config.training import TrainingConfig
from aiida_autopipec.pacemaker.config.versions import CURRENT_VERSION, needs_cutoff
from aiida_autopipec.pacemaker.errors import ConfigError


def render_input_yaml(
    config: TrainingConfig,
    *,
    train_filename: str,
    test_filename: str | None = None,
    initial_potential_filename: str | None = None,
    version: str = CURRENT_VERSION,
    cutoff: float | None = None,
    callbacks: Sequence[str] = (),
) -> str:
    """Return ``input.yaml`` as ``pacemaker`` reads it (``pyace/cli/pacemaker.py``, python-ace 0.4.0rc1).

    What an initial potential is for follows from the configuration:

    - without a potential section the fit goes on from it (``potential: FILE``, the same as ``pacemaker -p``);
    - with ``potential.reset`` its shape is fitted from scratch (``potential: {filename: FILE, reset: true}``);
    - with a shape and a ladder the basis grows from it to that shape (``potential: {initial_potential: FILE}``,
      ``pacemaker -ip``);
    - with a shape and no ladder the fit goes on from it too, with its basis: the shape is left out, because Pacemaker
      takes one or the other, and would climb a ladder for both.

    :param config: the settings.
    :param train_filename: name of the training set, ending in ``.pckl.gzip``.
    :param test_filename: name of the test set, ending in ``.pckl.gzip``.
    :param initial_potential_filename: name of a B-basis potential, ending in ``.yaml``.
    :param version: of the Pacemaker that reads the file; see ``config/versions.py``.
    :param cutoff: largest cutoff (Å) of the initial potential, for a version before 0.4 where ``config`` has no shape.
    :param callbacks: functions that are called after each iteration, before those of the settings.
    :raises ConfigError: if a setting needs a file or a cutoff that is not given, or the version is not known.
    """
    if config.needs_initial_potential and initial_potential_filename is None:
        raise ConfigError('potential: is missing; state a shape, or pass a potential as the input initial_potential.')
    if config.needs_test_dataset and test_filename is None:
        raise ConfigError(
            'fit.min_relative_test_loss_per_iter: has no effect without test structures; pass the input test_dataset.'
        )
    settings = config.to_dict()
    settings.pop('allow_callbacks', None)  # a key of this plugin, not of Pacemaker
    if needs_cutoff(version):
        settings['cutoff'] = _cutoff(config, cutoff)
    if callbacks:
        fit = settings.setdefault('fit', {})
        fit['callbacks'] = [*callbacks, *fit.get('callbacks', ())]
    data = {'filename': train_filename}
    if test_filename is not None:
        data['test_filename'] = test_filename
    settings['data'] = {**data, **settings['data']}
    if initial_potential_filename is not None:
        climbs = config.fit.ladder_step is not None
        if config.potential is None or (isinstance(config.potential, PotentialShape) and not climbs):
            settings['potential'] = initial_potential_filename
        elif isinstance(config.potential, PotentialShape):
            settings['potential']['initial_potential'] = initial_potential_filename
        else:
            settings['potential'] = {'filename': initial_potential_filename, **settings['potential']}
    order = ('cutoff', 'seed', 'metadata', 'potential', 'data', 'fit', 'backend')
    return dump_yaml({key: settings[key] for key in order if key in settings})


def _cutoff(config: TrainingConfig, of_initial_potential: float | None) -> float:
    """Return the cutoff of the neighbour lists in Å: that of all potentials that the fit uses."""
    known = [cutoff for cutoff in (config.cutoff, of_initial_potential) if cutoff is not None]
    if not known:
        raise ConfigError(
            'potential: states no cutoff, which Pacemaker before 0.4 needs; state a shape, or use Pacemaker 0.4.'
        )
    return max(known)
