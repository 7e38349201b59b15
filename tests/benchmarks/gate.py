"""What the gate says of potentials with every kind of repulsion, and the picture of ``docs/how-to/validate.md``.

    python tests/benchmarks/gate.py [--bin FOLDER] [--work FOLDER] [--plot docs/_static/gate.png] [KIND ...]

Takes the fits of ``core_repulsion.py``, of which ``--work`` keeps those that are there, and runs on each what
``autopipec.validate`` runs, at 4000 K for 1000 fs. Prints what fails by kind, and whole tables of the two in
the picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
from ase.build import bulk
from core_repulsion import CLOSEST, MENDED, Fits, data, make_potentials

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.handoff import Handoff
from aiida_autopipec.pacemaker.plots import style
from aiida_autopipec.pacemaker.validation import (
    Measurements,
    Subject,
    Verdict,
    judge,
    parse_validation_parameters,
    read_arrays,
    read_facts,
    script_settings,
    verdict_table,
)

PARAMETERS = parse_validation_parameters(
    {
        'dynamics': {'temperature': 4000.0, 'steps': 1000},
        'errors': {'max_rmse_energy': 60, 'max_rmse_forces': 60},
    }
)
CHECKS = ('dimer', 'volume', 'elastic', 'phonons', 'dynamics', 'errors')
SHOWN = ('nothing', MENDED)
GEOMETRY = ('numbers', 'positions', 'cells', 'pbc', 'offsets')


def validate(fits: Fits, kind: str, potential: Path, folder: Path) -> tuple[Verdict, Measurements]:
    """Return the verdict on a potential and what was measured, as the job of the gate would."""
    folder.mkdir(exist_ok=True)
    if not potential.with_suffix('.asi').is_file():
        fits.run(potential.parent, 'pace_activeset', potential.name, '-d', 'train.pckl.gzip')
    reference = Handoff(potential.read_text()).reference
    _, structures = data(
        {'method': 'isolated_atoms'} | ({} if reference is None else {'potential': reference.as_dict()})
    )
    np.savez(folder / 'data.npz', **{name: getattr(structures, name) for name in GEOMETRY})
    crystal = bulk('Al', 'fcc', 3.98)
    settings = script_settings(
        PARAMETERS,
        CHECKS,
        elements=['Al'],
        reference=reference,
        crystal={
            'numbers': crystal.numbers.tolist(),
            'positions': crystal.positions.tolist(),
            'cell': crystal.cell[:].tolist(),
        },
        labels_are_totals=False,
        files={
            'potential': str(potential),
            'active_set': str(potential.with_suffix('.asi')),
            'dataset': 'data.npz',
        },
    )
    (folder / filenames.VALIDATION_SETTINGS).write_text(json.dumps(settings))
    for script in filenames.VALIDATE_SCRIPTS:
        shutil.copy(str(resources.files('aiida_autopipec.remote').joinpath(script)), folder)
    if not (folder / filenames.VALIDATION).is_file():
        command = [str(fits.programs / 'python'), filenames.VALIDATE_SCRIPTS[0], filenames.VALIDATION_SETTINGS]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    facts = read_facts(json.loads((folder / filenames.VALIDATION).read_text()))
    measured = Measurements(read_arrays((folder / filenames.VALIDATION_ARRAYS).read_bytes()), facts)
    subject = Subject(('Al',), has_grades=True, structures=structures, energy=structures.energy_corrected)
    return judge(measured, PARAMETERS, subject, CHECKS), measured


def describe(kind: str, verdict: Verdict) -> str:
    """Return a row of the table: what fails, by check."""
    cells = []
    for check in CHECKS:
        failed = [item.name.removeprefix('Al-Al ') for item in verdict.failed((check,))]
        cells.append('passed' if not failed else f'**failed**: {", ".join(failed)}')
    return f'| {" | ".join((kind, *cells))} |'


def draw(found: dict[str, Measurements], path: Path) -> None:
    """Draw dimer curves, temperatures, shortest distances and grades of hot dynamics."""
    with style.look():
        figure = style.new_figure(9.0, 6.0)
        (dimer, heat), (closeness, grades) = figure.subplots(2, 2)
        for number, (name, measured) in enumerate(found.items()):
            look = {'color': style.COLOURS[(5, 0)[number]], 'label': name}
            curves, motion = measured.of('dimer'), measured.of('dynamics')
            dimer.plot(curves['distances'], curves['Al_Al_energy'], **look)
            heat.plot(motion['time'], motion['temperature'], **look)
            closeness.plot(motion['time'], motion['distance'], **look)
            grades.plot(motion['time'], motion['gamma'], **look)
        dimer.axvspan(0.5, CLOSEST, color='#00000010', linewidth=0)
        dimer.axhline(0, color='black', linewidth=0.5)
        dimer.text(0.55, -2.6, f'no data below {CLOSEST} Å', fontsize=7)
        dimer.set(xlabel='distance of two Al atoms (Å)', ylabel='energy (eV)', xlim=(0.5, 4.5), ylim=(-3, 30))
        heat.axhline(PARAMETERS.dynamics.temperature, color='black', linewidth=0.5)
        heat.set(xlabel='time (fs)', ylabel='temperature (K)')
        closeness.set(xlabel='time (fs)', ylabel='shortest distance (Å)')
        closeness.axhline(1.452, color='black', linewidth=0.8, linestyle='--')
        closeness.text(20, 1.49, 'threshold', fontsize=7)
        closeness.set_ylim(bottom=0)
        grades.set(xlabel='time (fs)', ylabel='largest extrapolation grade', yscale='log')
        dimer.legend(loc='upper right')
        style.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kinds', nargs='*', help='which to check; by default all')
    parser.add_argument('--bin', type=Path, default=Path(sys.executable).parent, help="folder of Pacemaker's programs")
    parser.add_argument('--work', type=Path, help='folder for fits and checks; by default one that is removed')
    parser.add_argument('--plot', type=Path, help='where to write the picture')
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp())).absolute()
    work.mkdir(exist_ok=True, parents=True)
    fits = Fits(options.bin.absolute(), work)
    try:
        results = {}
        for number, (kind, potential) in enumerate(make_potentials(fits).items()):
            if kind in (options.kinds or (kind,)):
                results[kind] = validate(fits, kind, potential, work / f'gate_{number}')
    finally:
        if options.work is None:
            shutil.rmtree(work)
    print(f'| repulsion | {" | ".join(CHECKS)} |\n{"|---" * (1 + len(CHECKS))}|')
    for kind, (verdict, _) in results.items():
        print(describe(kind, verdict))
    for kind in SHOWN:
        print(f'\n{kind}\n{verdict_table(results[kind][0].as_dict())}' if kind in results else '')
    if options.plot and set(SHOWN) <= results.keys():
        draw({kind: results[kind][1] for kind in SHOWN}, options.plot)


if __name__ == '__main__':
    main()
