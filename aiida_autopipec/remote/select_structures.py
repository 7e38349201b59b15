"""Select structures that span the space of a basis, and say why.

Runs on the computer, in Pacemaker's own Python, instead of ``pace_select``:

    python select_structures.py

Reads ``selection_settings.json``, the potential, the candidates and what is known of each of them
(``candidates.npz``). Writes ``selection.json`` with what was done and ``selection.npz`` with one number for each
candidate. Needs what python-ace brings.

Candidates are put in an order that depends on their geometry only, before anything that depends on their order.
"""

import json
import sys
import time
import traceback
import warnings

import numpy as np
import select_budget
import select_memory
import select_report
import select_strategies
from select_maxvol import MaxVol
from select_pool import Basis, read_active_set, read_pool, small_structures
from select_projections import Projections, Space, components, leverages, log_determinant

SETTINGS = 'selection_settings.json'
OUTCOME = 'selection.json'
ARRAYS = 'selection.npz'
FOLDER = 'projections'
SAMPLE = 32  # structures whose neighbours are counted to predict memory


def project(pool, basis, counts, functions, plan):
    """Compute all projections, a chunk at a time."""
    projections = Projections(counts, functions, folder=FOLDER if plan.on_disk else None)
    for begin, end in plan.chunks(pool.sizes):
        for element, rows in basis.project(pool.atoms[begin:end]).items():
            if element in counts:
                projections.append(element, rows)
    return projections


def expected_atoms(settings, pool):
    """Return how many atoms the largest MaxVol runs over: those of the pool, or those of a selection from it."""
    amount, total = settings['amount'], int(pool.sizes.sum())
    if settings['strategy'] == 'maxvol' or amount is None:
        return total
    return amount if settings['in_atoms'] else int(amount * pool.sizes.mean()) + 1


def choose(settings, pool, projections, space, kept, maxvol):
    """Choose by the strategy what was asked for."""
    choice = select_budget.Choice(pool.sizes, settings['amount'], settings['in_atoms'])
    select_budget.keep(choice, kept.tolist())
    if settings['strategy'] == 'maxvol':
        strategy = MaxVol(projections, space, rounds=1 if settings['amount'] is None else None, **maxvol)
    else:
        name, seed = settings['strategy'], settings['seed']
        strategy = select_strategies.make(name, projections, space, pool.fingerprints, seed, kept.tolist())
    shares = settings['shares']
    select_budget.fill(choice, strategy, None if shares is None else pool.strata, shares)
    return choice, strategy


def describe(pool, projections, space, choice, strategy, inverses, maxvol):
    """Return what can be said of each candidate, and of all together."""
    chosen = np.flatnonzero(choice.chosen)
    rest = np.flatnonzero(~choice.chosen)
    covered = select_report.inverses_of(
        projections, space, chosen, {key: value for key, value in maxvol.items() if key != 'known'}
    )
    n = projections.n
    arrays = {
        'round': choice.rounds,
        'active_atoms': getattr(strategy, 'active_atoms', np.zeros(n, dtype=np.int64)),
        'leverage': leverages(projections, space),
        'probability': getattr(strategy, 'probability', np.full(n, np.nan)),
        'gain': getattr(strategy, 'gains', np.full(n, np.nan)),
        'gamma_before': select_report.grades(projections, inverses) if inverses else np.full(n, np.nan),
        'gamma_after': select_report.grades(projections, covered),
        'components': components(projections, space, 2),
    }
    facts = {
        'n_functions': {element: space.functions(element) for element in space.elements},
        'rank': dict(space.rank),
        'rank_deficient_elements': [
            element for element in space.elements if space.rank[element] < space.functions(element)
        ],
        'uncovered_elements': [element for element in space.elements if element not in covered],
        'gamma_max_rest': select_report.largest_by_element(projections, covered, rest),
        'log_determinant': log_determinant(projections, space, chosen),
        'log_determinant_pool': log_determinant(projections, space, np.arange(n)),
        'rounds': int(choice.rounds.max()),
        'touched_by_maxvol': getattr(strategy, 'touched', None),
        'shards': int(getattr(strategy, 'shards', 1)),
    }
    if inverses:
        facts['gamma_max_before'] = select_report.largest_by_element(projections, inverses, np.arange(n))
    return arrays, facts


def write(pool, choice, arrays):
    """Write the arrays in the order of the file."""
    placed = {}
    for name, array in arrays.items():
        placed[name] = np.empty_like(array)
        placed[name][pool.rows] = array
    np.savez(ARRAYS, rows=pool.rows[np.array(choice.order, dtype=np.int64)], **placed)


def run(settings):
    """Select, and return what is to be said."""
    clock = [time.time()]
    pool = read_pool(settings)
    basis = Basis(settings['potential'])
    counts = pool.counts(sorted(basis.functions))
    functions = {element: basis.functions[element] for element in counts}
    inverses, known = read_active_set(settings['active_set'], functions)
    sample = pool.atoms[:: max(len(pool.atoms) // SAMPLE, 1)]
    plan = select_memory.Plan(
        base=select_memory.peak_bytes(),
        limit=select_memory.limit_bytes(settings['memory_limit_mb']),
        counts=counts,
        functions=functions,
        surroundings=select_memory.environment_bytes(*basis.mean_surroundings(sample)),
        atoms=expected_atoms(settings, pool),
        structures=settings['chunk_structures'],
        strategy=settings['strategy'],
    )
    kept = np.flatnonzero(pool.keep | small_structures(pool, basis, settings['keep']))
    projections = project(pool, basis, counts, functions, plan)
    clock.append(time.time())
    maxvol = {
        'known': known,
        'tolerance': settings['gamma_tolerance'],
        'iterations': settings['maxvol_iters'],
        'refinements': settings['maxvol_refinement'],
        'memory': plan.maxvol_bytes,
    }
    space = Space(projections, known)
    choice, strategy = choose(settings, pool, projections, space, kept, maxvol)
    clock.append(time.time())
    arrays, facts = describe(pool, projections, space, choice, strategy, inverses, maxvol)
    projections.remove()
    write(pool, choice, arrays)
    clock.append(time.time())
    facts['kept'] = len(kept)
    facts['used_active_set'] = bool(inverses)
    facts['seconds'] = dict(zip(('projections', 'choice', 'explanation'), np.round(np.diff(clock), 3).tolist()))
    facts['memory'] = {
        'limit_mb': None if plan.limit is None else plan.limit // 2**20,
        'predicted_mb': int(plan.predicted / 2**20),
        'measured_mb': int(select_memory.peak_bytes() / 2**20),
        'chunk_atoms': plan.chunk_atoms,
        'projections_on_disk': plan.on_disk,
    }
    return facts


def main():
    """Write what was done, or why it was not; from the first moment on there is a file that says how far it came."""
    warnings.simplefilter('ignore')
    report({'state': 'running'})
    with open(SETTINGS) as handle:
        settings = json.load(handle)
    try:
        report({'state': 'done', **run(settings)})
    except select_memory.TooLittleMemoryError as error:
        report({'state': 'too_little_memory', 'reason': str(error)})
        return 1
    except select_budget.UnfulfillableError as error:
        report({'state': 'unfulfillable', 'reason': str(error)})
        return 1
    except Exception as error:
        traceback.print_exc()
        report({'state': 'failed', 'reason': '%s: %s' % (type(error).__name__, error)})
        return 1
    return 0


def report(outcome):
    """Write the outcome, whole or not at all."""
    text = json.dumps(outcome, indent=2, sort_keys=True)
    with open(OUTCOME, 'w') as handle:
        handle.write(text)


if __name__ == '__main__':
    sys.exit(main())
