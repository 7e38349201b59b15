"""What Pacemaker is about to fit: basis, structures, weights and loss, as Pacemaker itself prepares them.

Part of ``accelerate.py``. Everything is taken from the object that ``pacemaker --dry-run`` makes
(``pyace.generalfit.GeneralACEFit``, python-ace 0.4.0rc1), so that weights, corrected energies, an automatic kappa and
the frozen parameters are those of the fit.
"""

import contextlib
import copy
import os

import numpy as np

DEFAULT_SEED = 42  # pyace/cli/pacemaker.py
LINEAR_EMBEDDINGS = ('FinnisSinclair', 'FinnisSinclairShiftedScaled')


class NotPossibleError(Exception):
    """Says why a fit cannot be accelerated; it is then run as it is."""


class Layout:
    """Where the coefficients of each function stand among all coefficients of a basis: radial ones come first.

    :param basis: with elements in the order of ``basis.elements_name``; of each, pair functions come first, and the
        densities of a function stand together.
    """

    def __init__(self, basis):
        per_element = [list(pairs) + list(others) for pairs, others in zip(basis.basis_rank1, basis.basis)]
        self.functions = [function for functions in per_element for function in functions]
        self.elements = np.repeat(np.arange(len(per_element)), [len(functions) for functions in per_element])
        self.shifts = np.concatenate([[0], np.cumsum([len(functions) for functions in per_element])[:-1]])
        self.densities = np.array([len(function.coeffs) for function in self.functions], dtype=np.int64)
        self.n_coefficients = int(self.densities.sum())
        self.n_radial = len(basis.all_coeffs) - self.n_coefficients
        self.starts = np.concatenate([[0], np.cumsum(self.densities)[:-1]])

    def __len__(self):
        return len(self.functions)

    def columns(self, density):
        """Return the functions that have a density, and where its coefficients stand among those of functions."""
        have = np.flatnonzero(self.densities > density)
        return have, self.starts[have] + density


class Structure:
    """One structure with its labels; energies are per atom, as in Pacemaker's loss."""

    def __init__(self, environment, energy, forces, energy_weight, force_weights):
        self.environment = environment
        self.forces = np.asarray(forces, dtype=np.float64).reshape(-1, 3)
        self.energy = float(energy) / len(self.forces)
        self.energy_weight = float(np.ravel(energy_weight)[0])
        self.force_weights = np.broadcast_to(np.ravel(force_weights).astype(np.float64), (len(self.forces),))


class Problem:
    """A fit that has not begun.

    :param settings: content of ``input.yaml``.
    :param folder: where Pacemaker may leave what a dry run writes.
    """

    def __init__(self, settings, folder):
        from pyace.basis import ACEBBasisSet

        self.goes_on = goes_on(settings)
        fit = prepare(settings, folder)
        self.climbs = bool(fit.ladder_scheme)
        self.config = first_step(fit) if self.climbs else fit.target_bbasisconfig
        self.basis = ACEBBasisSet(self.config)
        self.layout = Layout(self.basis)
        try:
            self.factors = linear_factors(self.basis)
        except NotPossibleError:
            if not self.goes_on:
                raise
            self.factors = None
        self.loss = fit.loss_spec
        self.kappa = float(fit.loss_spec.kappa)
        self.frame = fit.fitting_data
        self.structures = [
            Structure(*row)
            for row in zip(
                *(self.frame[name] for name in ('atomic_env', 'energy_corrected', 'forces', 'w_energy', 'w_forces'))
            )
        ]
        self.trainable_parameters = fit.trainable_parameters_dict
        self.trainable = trainable_mask(self.config, self.trainable_parameters)
        if not self.goes_on and not self.free.any():
            raise NotPossibleError('no coefficient of a first density may change (fit.trainable_parameters)')

    @property
    def free(self):
        """Return which functions may change, as a mask."""
        return self.trainable[self.layout.n_radial + self.layout.starts]

    def seeds(self):
        """Return where the coefficients of the first pair functions stand in the second density, if they may change."""
        layout = self.layout
        places = [
            layout.starts[index] + 1
            for index, function in enumerate(layout.functions)
            if function.rank == 1 and list(function.ns) == [1] and layout.densities[index] > 1
        ]
        return np.array([place for place in places if self.trainable[layout.n_radial + place]], dtype=np.int64)

    def radial_loss(self):
        """Return the part of the loss that the radial functions alone make; no prefit changes it."""
        spec = self.loss
        if spec.w_orth > 0:
            raise NotPossibleError('the loss has a term for orthogonal radial functions (fit.loss.w_orth)')
        weights = [spec.w0_rad, spec.w1_rad, spec.w2_rad]
        if not any(weights):
            return 0.0
        from pyace.radial import RadialFunctionSmoothness, RadialFunctionsValues

        smooth = RadialFunctionSmoothness(RadialFunctionsValues(self.basis)).smooth_quad
        return float(np.dot(weights, smooth[:3]))


def goes_on(settings):
    """Return whether a fit begins with the coefficients of a potential.

    :raises NotPossibleError: if that potential is the begin of a ladder.
    """
    potential, climbs = settings.get('potential'), (settings.get('fit') or {}).get('ladder_step') is not None
    if isinstance(potential, dict) and 'initial_potential' not in potential:
        return 'filename' in potential and not potential.get('reset')
    if climbs or not isinstance(potential, str):
        raise NotPossibleError('the fit climbs a ladder from a potential')
    return True


def first_step(fit):
    """Return the basis that a ladder is begun with, as ``GeneralACEFit.ladder_fitting`` makes it.

    :raises NotPossibleError: if nothing is left to add to it, as Pacemaker would not fit it then.
    """
    from pyace.basisextension import get_actual_ladder_step
    from pyace.multispecies_basisextension import extend_multispecies_basis

    empty, target = fit.initial_bbasisconfig.copy(), fit.target_bbasisconfig
    step = get_actual_ladder_step(
        fit.fit_config['ladder_step'], empty.total_number_of_functions, target.total_number_of_functions
    )
    config, _ = extend_multispecies_basis(empty, target, fit.ladder_type, step, return_is_extended=True)
    if config.total_number_of_functions >= target.total_number_of_functions:
        raise NotPossibleError('the ladder (fit.ladder_step) has a single step')
    return config


def prepare(settings, folder):
    """Return Pacemaker's own fit, ready to begin; the evaluator is the one that needs no TensorFlow."""
    from pyace import generalfit, preparedata

    generalfit.plot_ef_distributions = no_plot
    if (settings.get('backend') or {}).get('evaluator') == 'tensorpot':
        preparedata.aseatoms_to_atomicenvironment = bonded_only(preparedata.aseatoms_to_atomicenvironment)
    settings = copy.deepcopy(settings)
    seed = settings.get('seed', DEFAULT_SEED)
    data = settings['data']
    data = {'filename': data} if isinstance(data, str) else data
    data.setdefault('seed', seed)
    datapath = data.get('datapath') or os.environ.get('PACEMAKERDATAPATH')
    for key in ('filename', 'test_filename'):  # weights are those of training and test set together
        if isinstance(data.get(key), str):
            data[key] = absolute(data[key], datapath)
        elif data.get(key):
            data[key] = [absolute(name, datapath) for name in data[key]]
    potential = settings['potential']
    if isinstance(potential, str):
        potential = os.path.abspath(potential)
    else:
        if 'metadata' in settings:
            potential['metadata'] = settings['metadata']
        if 'filename' in potential:
            potential['filename'] = os.path.abspath(potential['filename'])
    os.makedirs(folder, exist_ok=True)
    before = os.getcwd()
    os.chdir(folder)
    try:
        with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
            return generalfit.GeneralACEFit(
                potential_config=potential,
                fit_config=settings.get('fit') or {},
                data_config=data,
                backend_config={'evaluator': 'pyace'},
                seed=seed,
            )
    finally:
        os.chdir(before)


def no_plot(frame, suffix=''):
    """Leave out a picture of the labels: nobody looks at it, and it takes longer than a small prefit."""


def bonded_only(convert):
    """Return a conversion that leaves out what `tensorpot` does: structures with an atom that has no neighbour.

    Pacemaker drops rows without a result before it gives weights (``generate_tp_atoms``, tensorpotential 0.6.2).
    """

    def converted(atoms, *args, **keys):
        environment = convert(atoms, *args, **keys)
        neighbours = environment.neighbour_list[: environment.n_atoms_real]
        return environment if all(len(found) for found in neighbours) else None

    return converted


def absolute(filename, datapath):
    """Return the path of the data; Pacemaker looks beside the input first."""
    if not os.path.exists(filename) and datapath:
        filename = os.path.join(datapath, filename)
    return os.path.abspath(filename)


def linear_factors(basis):
    """Return for each element the factor of its first density in the energy.

    The embedding is the sum over densities p of w_p F(rho_p, m_p), and F is rho_p itself for m_p = 1; ``fs_parameters``
    holds w_1, m_1, w_2, m_2, ….

    :raises NotPossibleError: if the first density of an element is not linear.
    """
    factors = []
    for index, element in enumerate(basis.elements_name):
        embedding = basis.map_embedding_specifications[index]
        parameters = [float(value) for value in embedding.FS_parameters]
        known = embedding.npoti in LINEAR_EMBEDDINGS and len(parameters) >= 2
        if not known or parameters[1] != 1.0 or parameters[0] == 0.0:
            raise NotPossibleError(
                'the first density of %s is not linear (%s, fs_parameters %s)'
                % (element, embedding.npoti, [round(value, 6) for value in parameters])
            )
        factors.append(parameters[0])
    return np.array(factors)


def trainable_mask(config, parameters):
    """Return which of all coefficients the optimiser may change."""
    from pyace.multispecies_basisextension import compute_bbasisset_train_mask

    return np.asarray(compute_bbasisset_train_mask(config, parameters), dtype=bool)
