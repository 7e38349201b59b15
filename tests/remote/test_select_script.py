"""The script that selects, run as a job runs it, beside the real ``pace_select``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk, molecule

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.formats import save_shards
from aiida_autopipec.pacemaker.selection.candidates import describe_candidates
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.result import loss_against, read_explanation
from aiida_autopipec.pacemaker.selection.script import script_settings

pytestmark = pytest.mark.pacemaker

SCRIPT = resources.files('aiida_autopipec.remote') / 'select_structures.py'
PROGRAMS = Path(sys.executable).parent
STRATEGIES = ('spread', 'maxvol', 'leverage', 'greedy_logdet', 'random', 'farthest_point', 'kmeans')
FUNCTIONS = {
    1: {'nradmax_by_orders': [8, 3], 'lmax_by_orders': [0, 2]},
    2: {'nradmax_by_orders': [4, 1], 'lmax_by_orders': [0, 1]},
    3: {'nradmax_by_orders': [3, 1], 'lmax_by_orders': [0, 1]},
}
SYSTEMS = (('Al',), ('Al', 'Cu'), ('Al', 'Cu', 'Ni'))


def alloys(n, elements, *, seed=0):
    """Return rattled cells whose atoms are of elements drawn at random."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(n):
        image = bulk('Cu', 'fcc', 3.8 * (0.95 + 0.1 * rng.random()), cubic=bool(number % 3))
        image = image.repeat((1, 1, 1 + number % 2))
        image.symbols = rng.choice(elements, len(image)).tolist()
        image.rattle(0.15, rng=rng)
        images.append(image)
    return LabelledStructures.from_atoms(images, require_labels=False)


@pytest.fixture(scope='session')
def potential(tmp_path_factory):
    """Return a function that makes an untrained potential for some elements."""
    from pyace import create_multispecies_basis_config

    made = {}

    def make(elements):
        if elements not in made:
            made[elements] = tmp_path_factory.mktemp('potential') / 'potential.yaml'
            config = create_multispecies_basis_config(
                {
                    'deltaSplineBins': 0.001,
                    'elements': list(elements),
                    'embeddings': {
                        'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
                    },
                    'bonds': {
                        'ALL': {
                            'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 4.5, 'dcut': 0.01,
                            'NameOfCutoffFunction': 'cos',
                        }
                    },
                    'functions': {'ALL': FUNCTIONS[len(elements)]},
                }
            )  # fmt: skip
            config.save(str(made[elements]))
        return made[elements]

    return make


@pytest.fixture
def run(tmp_path, potential):
    """Return a function that runs the script in a folder of its own and returns what it says."""
    runs = []

    def select(pool, *, parts=None, elements=('Al',), active_set=None, requested_kb=None, fails=False, **stated):
        folder = tmp_path / f'run-{len(runs)}'
        runs.append(folder)
        folder.mkdir()
        parameters = SelectParameters.model_validate(stated)
        save_shards(parts or [pool], folder / 'candidates.pckl.gzip')
        candidates = describe_candidates(parts or [pool], parameters)
        np.savez(folder / 'candidates.npz', **candidates.arrays())
        settings = script_settings(
            parameters,
            potential=str(potential(elements)),
            n_atoms=pool.n_atoms,
            shares=candidates.shares,
            with_active_set=active_set is not None,
            requested_kb=requested_kb,
        )
        if active_set is not None:
            (folder / 'known.asi').write_bytes(active_set)
        (folder / 'selection_settings.json').write_text(json.dumps(settings))
        done = subprocess.run(
            [sys.executable, str(SCRIPT)],
            cwd=folder, env=os.environ | {'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        outcome = json.loads((folder / 'selection.json').read_text())
        if fails:
            assert done.returncode == 1
            return outcome
        assert outcome['state'] == 'done', done.stderr
        explanation = read_explanation(folder / 'selection.npz', len(pool))
        assert not (folder / 'projections').exists()
        return explanation, outcome

    return select


def pace_select(folder, pool, potential, *arguments):
    """Return the rows that Pacemaker's own program selects, best first."""
    save_shards([pool], folder / 'pool.pckl.gzip')
    subprocess.run(
        [str(PROGRAMS / 'pace_select'), '-p', str(potential), '-a', 'NONE', *arguments, 'pool.pckl.gzip'],
        cwd=folder, env=os.environ | {'OMP_NUM_THREADS': '1'}, capture_output=True, check=True,
    )  # fmt: skip
    names = pd.read_pickle(folder / 'selected.pkl.gz', compression='gzip')['name'].tolist()
    row_of = {name: row for row, name in enumerate(pool.names.tolist())}
    return [row_of[name] for name in names]


@pytest.mark.parametrize('elements', SYSTEMS)
def test_one_round_is_that_of_pace_select(run, potential, tmp_path, elements):
    """On candidates in the script's order, the structures and their ranks are those of the real program."""
    pool = alloys(60, elements)
    pool = pool.take(np.lexsort((pool.names, pool.fingerprints)))
    everything = pace_select(tmp_path, pool, potential(elements))
    explanation, outcome = run(pool, elements=elements, strategy='maxvol')
    assert explanation.rows.tolist() == everything
    assert outcome['touched_by_maxvol'] == len(everything) < 60
    few = pace_select(tmp_path, pool, potential(elements), '-m', '4')
    assert run(pool, elements=elements, strategy='maxvol', max_structures=4)[0].rows.tolist() == few


@pytest.mark.parametrize(
    ('elements', 'strategy'),
    [*((SYSTEMS[1], strategy) for strategy in STRATEGIES), (SYSTEMS[0], 'maxvol'), (SYSTEMS[2], 'maxvol')],
)
def test_exactly_the_number_asked_for(run, elements, strategy):
    """Each strategy gives the number, none twice, the same again, and however the pool is cut and ordered."""
    pool = alloys(90, elements, seed=1)
    explanation, _ = run(pool, elements=elements, strategy=strategy, max_structures=70)
    assert len(set(explanation.rows.tolist())) == len(explanation.rows) == 70
    order = np.random.default_rng(0).permutation(90)
    shuffled = pool.take(order)
    again, _ = run(
        shuffled, parts=[shuffled.take(range(31)), shuffled.take(range(31, 90))], elements=elements,
        strategy=strategy, max_structures=70,
    )  # fmt: skip
    assert pool.names[explanation.rows].tolist() == shuffled.names[again.rows].tolist()


def test_rounds_go_on_with_the_rest(run):
    """MaxVol touches fewer than asked for: later rounds give the others, and each says in which it was taken."""
    pool = alloys(60, ('Al',))
    explanation, outcome = run(pool, strategy='maxvol', max_structures=50)
    assert outcome['rounds'] > 1
    assert outcome['touched_by_maxvol'] == int((explanation.round == 1).sum())
    assert np.all(np.diff(explanation.round[explanation.rows]) >= 0)
    assert np.all(explanation.active_atoms[explanation.rows] > 0)


def test_everything_can_be_asked_for(run):
    """The number may be the whole pool: when too few atoms are left for MaxVol, they are all taken."""
    pool = alloys(25, ('Al', 'Cu'))
    explanation, _ = run(pool, elements=('Al', 'Cu'), strategy='maxvol', max_structures=25)
    assert sorted(explanation.rows.tolist()) == list(range(25))


def test_atoms_as_budget(run):
    """With atoms as budget the number is met as nearly as the sizes allow: all are multiples of 1, 2, 4 or 8."""
    pool = alloys(60, ('Al',))
    explanation, _ = run(pool, strategy='leverage', max_atoms=101)
    assert pool.sizes[explanation.rows].sum() == 101


def test_what_is_taken_in_any_case(run):
    """Isolated atoms and dimers are found by their neighbours, and the lowest energies by composition."""
    atoms = [*alloys(20, ('Al',)).to_atoms(), molecule('H2'), bulk('Al').repeat(1)]
    atoms[20].symbols = ['Al', 'Al']
    atoms[20].set_distance(0, 1, 2.5)
    lonely = bulk('Al', 'sc', 20.0)
    pool = LabelledStructures.from_atoms([*atoms, lonely], require_labels=False)
    pool = pool.replace(energy=np.arange(23.0)[::-1].copy() * pool.sizes, forces=np.zeros((pool.n_atoms, 3)))
    explanation, outcome = run(
        pool, max_structures=6, keep=['isolated_atoms', 'dimers', 'lowest_energy'], keep_names=[pool.names[3]]
    )
    assert outcome['kept'] == 3
    assert np.flatnonzero(explanation.round == 0).tolist() == [3, 20, 22]
    assert len(explanation.rows) == 6


def test_quotas(run):
    """Each group of elements gets its part."""
    pool = alloys(60, ('Al', 'Cu'), seed=2)
    groups = ['-'.join(sorted(set(one.get_chemical_symbols()))) for one in pool.to_atoms()]
    explanation, _ = run(pool, elements=('Al', 'Cu'), max_structures=12, quota_by='elements', quotas='equal')
    chosen = [groups[row] for row in explanation.rows.tolist()]
    assert {group: chosen.count(group) for group in set(groups)} == dict.fromkeys(set(groups), 4)


@pytest.fixture(scope='module')
def active_set(potential, tmp_path_factory):
    """Return the active set of 40 structures."""
    folder = tmp_path_factory.mktemp('active')
    save_shards([alloys(40, ('Al',), seed=5)], folder / 'old.pckl.gzip')
    (folder / 'p.yaml').write_text(potential(('Al',)).read_text())
    subprocess.run(
        [str(PROGRAMS / 'pace_activeset'), '-a', '-d', 'old.pckl.gzip', 'p.yaml'],
        cwd=folder, env=os.environ | {'OMP_NUM_THREADS': '1'}, capture_output=True, check=True,
    )  # fmt: skip
    return (folder / 'p.asi').read_bytes()


def test_grades_against_an_active_set(run, potential, active_set, tmp_path):
    """The grade before is Pacemaker's own, and after the selection nothing of the rest lies outside."""
    from pyace import PyACECalculator

    new = alloys(20, ('Al',), seed=6)
    explanation, outcome = run(new, active_set=active_set, strategy='maxvol')
    (tmp_path / 'p.asi').write_bytes(active_set)
    calculator = PyACECalculator(str(potential(('Al',))))
    calculator.set_active_set(str(tmp_path / 'p.asi'))
    for row in (0, 7):
        atoms = new.to_atoms()[row]
        atoms.calc = calculator
        atoms.get_potential_energy()
        assert explanation.gamma_before[row] == pytest.approx(calculator.results['gamma'].max(), rel=1e-6)
    assert outcome['used_active_set']
    assert outcome['gamma_max_before']['Al'] == pytest.approx(explanation.gamma_before.max())
    assert outcome['gamma_max_rest']['Al'] < 1.02 < outcome['gamma_max_before']['Al']


@pytest.fixture(scope='module')
def old_but_one():
    """Return structures that the active set was made of, one of which is compressed."""
    old = alloys(30, ('Al',), seed=5)
    cells, positions = old.cells.copy(), old.positions.copy()
    cells[3] *= 0.8
    positions[old.offsets[3] : old.offsets[4]] *= 0.8
    return old.replace(cells=cells, positions=positions)


def test_leverage_against_an_active_set(run, active_set, old_but_one):
    """Among copies of old structures, the one that is unlike them is the most likely."""
    explanation, _ = run(old_but_one, active_set=active_set, strategy='leverage', max_structures=3)
    assert explanation.probability.argmax() == 3


def test_greedy_choice_against_an_active_set(run, active_set, old_but_one):
    """Among copies of old structures, the one that is unlike them is the first."""
    explanation, _ = run(old_but_one, active_set=active_set, strategy='greedy_logdet', max_structures=3)
    assert explanation.rows[0] == 3


def test_nothing_new_is_nothing_selected(run, active_set):
    """Structures that the active set was made of add nothing."""
    explanation, _ = run(alloys(40, ('Al',), seed=5).take(range(8)), active_set=active_set, strategy='maxvol')
    assert len(explanation.rows) <= 8
    assert explanation.gamma_before.max() <= 1.02


def test_an_active_set_of_another_basis_is_refused(run, active_set):
    """The message names the shape that is needed."""
    outcome = run(alloys(9, ('Cu',)), elements=('Cu',), active_set=active_set, strategy='maxvol', fails=True)
    assert 'matrix for Cu' in outcome['reason']


def test_elements_that_cannot_be_told_apart_are_named(run):
    """Copies of one crystal span less than the basis: the element is named, and there are no grades for it."""
    atoms = [bulk('Al', 'fcc', 4.0, cubic=True).repeat((1, 1, 1 + number % 2)) for number in range(10)]
    for number, image in enumerate(atoms):
        image.translate([0.01 * number, 0, 0])
    pool = LabelledStructures.from_atoms(atoms, require_labels=False)
    explanation, outcome = run(pool, strategy='maxvol', max_structures=4)
    assert outcome['rank_deficient_elements'] == ['Al']
    assert outcome['rank']['Al'] < outcome['n_functions']['Al']
    assert len(explanation.rows) == 4


def test_what_is_not_spanned_has_no_grade(run):
    """Fewer atoms than functions leave the element uncovered, and say so."""
    explanation, outcome = run(alloys(30, ('Al',)), max_structures=1)
    assert outcome['uncovered_elements'] == ['Al']
    assert outcome['gamma_max_rest'] == {'Al': None}
    assert np.isnan(explanation.gamma_after).all()


@pytest.mark.parametrize('strategy', ['maxvol', 'greedy_logdet'])
def test_chunks_change_nothing(run, strategy):
    """However many structures are looked at together, the choice is the same; the prediction is no guess."""
    pool = alloys(40, ('Al',))
    one, said = run(pool, strategy=strategy, max_structures=30)
    other, _ = run(pool, strategy=strategy, max_structures=30, memory_limit='4GB', batch_size=3)
    assert one.rows.tolist() == other.rows.tolist()
    assert said['memory']['measured_mb'] / 2 < said['memory']['predicted_mb'] < 2 * said['memory']['measured_mb']


def test_the_memory_that_the_job_asks_for_is_the_limit(run):
    """Too little of it is refused before any work, with the number that is needed."""
    outcome = run(alloys(9, ('Al',)), max_structures=3, requested_kb=20 * 1024, fails=True)
    assert outcome['state'] == 'too_little_memory'
    assert 'but may use 20 MB' in outcome['reason']


def test_keeping_too_much_is_refused(run):
    """What only the neighbours tell, is found on the computer."""
    pool = LabelledStructures.from_atoms([bulk('Al', 'sc', 20.0 + i) for i in range(5)], require_labels=False)
    outcome = run(pool, max_structures=2, keep=['isolated_atoms'], fails=True)
    assert outcome['state'] == 'unfulfillable'


def test_shards_and_their_union(select, potential):
    """Shard by shard, and over the union: nothing lies outside, and little is lost against a single run."""
    pool = alloys(300, ('Al',), seed=3)
    basis = select.pool.Basis(str(potential(('Al',))))
    atoms = pool.to_atoms()
    projections = select.projections.Projections.from_arrays(
        basis.project(atoms), {'Al': np.array([len(one) for one in atoms])}
    )
    space = select.projections.Space(projections)
    found = {}
    for memory in (None, 1):
        strategy = select.maxvol.MaxVol(
            projections, space, known={}, tolerance=1.01, iterations=300, memory=memory, rounds=1
        )
        choice = select.budget.Choice(projections.sizes, None)
        select.budget.fill(choice, strategy)
        determinant = select.projections.log_determinant(projections, space, np.array(choice.order))
        found[memory] = {'rows': choice.order, 'log_determinant': determinant, 'shards': strategy.shards}
        covered = select.report.inverses_of(
            projections, space, np.sort(choice.order), {'tolerance': 1.01, 'iterations': 300}
        )
        assert select.report.grades(projections, covered).max() < 1.3
    assert found[None]['shards'] == 1
    assert found[1]['shards'] > 10
    loss = loss_against(found[1], found[None])
    assert abs(loss.log_determinant) < 2
    assert loss.overlap > 0.3
