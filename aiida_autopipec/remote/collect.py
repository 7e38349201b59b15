"""Turn what Pacemaker's programs left in this folder into arrays and JSON, so that no pickle has to leave it.

Runs on the computer, in Pacemaker's own Python, after the programs:

    python collect.py train|activeset

Writes ``predictions.npz`` after a training. The pickles that were converted are moved to ``converted/``. Needs only
what python-ace brings. Never fails the job: what goes wrong is written to ``collect.json``.
"""

import json
import os
import shutil
import sys
import traceback

FILES_OF_PREDICTIONS = {'train': 'train_pred.pckl.gzip', 'test': 'test_pred.pckl.gzip'}


def collect_predictions():
    """Write reference and predicted energies and forces of the training and the test set as flat arrays."""
    import numpy as np
    import pandas as pd

    arrays = {}
    for part, filename in FILES_OF_PREDICTIONS.items():
        if not os.path.isfile(filename):
            continue
        frame = pd.read_pickle(filename, compression='gzip')
        forces = [np.asarray(value, dtype=np.float64).reshape(-1, 3) for value in frame['forces']]
        predicted = [np.asarray(value, dtype=np.float64).reshape(-1, 3) for value in frame['forces_pred']]
        arrays[part + '_names'] = np.array([str(name).encode() for name in frame['name']])
        arrays[part + '_sizes'] = np.array([len(value) for value in forces], dtype=np.int64)
        arrays[part + '_energy'] = np.array(frame['energy_corrected'], dtype=np.float64).reshape(-1)
        arrays[part + '_energy_predicted'] = np.array([float(np.ravel(v)[0]) for v in frame['energy_pred']])
        arrays[part + '_forces'] = np.concatenate(forces)
        arrays[part + '_forces_predicted'] = np.concatenate(predicted)
    if arrays:
        np.savez('predictions.npz', **arrays)


def put_converted_away():
    """Move the pickles that were converted to a folder of their own, which is not retrieved."""
    os.makedirs('converted', exist_ok=True)
    for filename in FILES_OF_PREDICTIONS.values():
        if os.path.isfile(filename):
            shutil.move(filename, os.path.join('converted', filename))


def main(task):
    """Do what belongs to a task, and say how it went."""
    outcome = {'task': task, 'ok': True}
    try:
        if task == 'train':
            collect_predictions()
        put_converted_away()
    except Exception:
        outcome.update(ok=False, error=traceback.format_exc())
    with open('collect.json', 'w') as handle:
        json.dump(outcome, handle, indent=2, sort_keys=True)


if __name__ == '__main__':
    main(sys.argv[1])
