"""Make `al-lda.extxyz`: about 110 aluminium structures labelled by Quantum ESPRESSO through AiiDA.

Usage (Debian 12; the AiiDA profile keeps every calculation, so that an interrupted run goes on from its cache)::

    apt-get install quantum-espresso quantum-espresso-data libopenblas0-serial
    pip install aiida-core==2.9.4 aiida-quantumespresso==5.1.0 ase==3.29.0
    export AIIDA_PATH=$PWD/aiida OMP_NUM_THREADS=1
    verdi presto
    python make_al_lda.py                # 15 minutes on one core; writes al-lda.extxyz beside this script
    python make_al_lda.py --convergence  # 2 minutes; prints the table of README.md, writes nothing
    python make_al_lda.py --list         # prints the names of the structures, runs nothing

Structures depend on `SEED` only. Energies are the free energy F = E - TS, from which the forces derive.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc100, fcc110, fcc111
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import get_distances
from ase.io import write
from ase.units import GPa

HERE = Path(__file__).parent
EXECUTABLE = '/usr/bin/pw.x'
PSEUDO = Path('/usr/share/espresso/pseudo/Al.pz-vbc.UPF')

SEED = 2026
LATTICE_CONSTANT = 3.96  # Å, fcc aluminium with these settings at almost zero pressure
VOLUME = LATTICE_CONSTANT**3 / 4  # Å³/atom, the unit of every `volume` in a name
BOX = 12.0  # Å, edge of the box of atoms and clusters
VACUUM = 5.0  # Å on either side of a slab, 10 Å between its images
SHORTEST_BOND = 2.0  # Å, no rattled structure comes closer

CUTOFF = 20.0  # Ry, plane waves
SMEARING = 0.08  # Ry, Marzari-Vanderbilt; with less of it, cells of different shape disagree (README.md)
K_SPACING = 0.18  # 1/Å, 2π included


def at_volume(atoms: Atoms, ratio: float) -> Atoms:
    """Scale a crystal to `ratio` times the volume per atom of fcc aluminium."""
    scaled = atoms.copy()
    factor = (ratio * VOLUME * len(atoms) / atoms.get_volume()) ** (1 / 3)
    scaled.set_cell(atoms.cell * factor, scale_atoms=True)
    return scaled


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """Deform a crystal by a 3 x 3 strain, atoms moving along with the cell."""
    deformed = atoms.copy()
    deformed.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    return deformed


def rattled(atoms: Atoms, amplitude: float, rng: np.random.Generator) -> Atoms:
    """Displace every coordinate by a Gaussian of width `amplitude` (Å), drawn anew while two atoms come too close."""
    while True:
        moved = atoms.copy()
        moved.positions += rng.normal(scale=amplitude, size=moved.positions.shape)
        if shortest_distance(moved) > SHORTEST_BOND:
            return moved


def shortest_distance(atoms: Atoms) -> float:
    """Return the shortest distance between two atoms, periodic images included (Å)."""
    repeated = atoms.repeat([3 if periodic else 1 for periodic in atoms.pbc])
    distances = get_distances(repeated.positions)[1]
    return float(distances.min(where=distances > 1e-8, initial=np.inf))


def fcc_cell(size: int) -> Atoms:
    """Return fcc aluminium in a cell of 1 (rhombohedral), 2 (tetragonal), 3 (hexagonal) or 4 (cubic) atoms."""
    a = LATTICE_CONSTANT
    if size == 1:
        return bulk('Al', 'fcc', a)
    if size == 2:
        edge = a / np.sqrt(2)
        return Atoms('Al2', scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[edge, edge, a], pbc=True)
    if size == 3:
        slab = fcc111('Al', (1, 1, 3), a=a, periodic=True)
        slab.set_tags(0)
        slab.cell[2] = [0, 0, a * np.sqrt(3)]
        return slab
    return bulk('Al', 'fcc', a, cubic=True)


def hcp_cell(c_over_a: float) -> Atoms:
    """Return hexagonal close packing with the given axial ratio."""
    return bulk('Al', 'hcp', a=2.8, c=2.8 * c_over_a)


def volumes() -> Iterator[tuple[str, Atoms]]:
    """Crystals under pressure and tension."""
    for ratio in (0.80, 0.84, 0.88, 0.91, 0.94, 0.97, 1.00, 1.03, 1.06, 1.10, 1.15, 1.20, 1.25):
        yield f'fcc-volume-{ratio:.2f}', at_volume(fcc_cell(1), ratio)
    for ratio in (0.85, 0.92, 1.00, 1.08, 1.18):
        yield f'bcc-volume-{ratio:.2f}', at_volume(bulk('Al', 'bcc', 3.2), ratio)
        yield f'hcp-volume-{ratio:.2f}', at_volume(hcp_cell(np.sqrt(8 / 3)), ratio)
    for ratio in (1.00, 1.15, 1.30):
        yield f'sc-volume-{ratio:.2f}', at_volume(bulk('Al', 'sc', 2.6), ratio)
    for c_over_a in (1.55, 1.72):
        yield f'hcp-ca-{c_over_a:.2f}', at_volume(hcp_cell(c_over_a), 1.0)


def strains(rng: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """Elastic and larger deformations of fcc."""
    for value in (-0.10, -0.05, 0.05, 0.10):
        yield f'strain-tetragonal-{1 + value:.2f}', strained(fcc_cell(1), np.diag([-value / 2, -value / 2, value]))
    for value in (0.03, 0.06, 0.09, 0.12):
        yield f'strain-orthorhombic-{value:.2f}', strained(fcc_cell(2), np.diag([value, -value, 0.0]))
    for value in (0.03, 0.06, 0.09, 0.12):
        shear = np.zeros((3, 3))
        shear[0, 1] = value
        yield f'strain-shear-{value:.2f}', strained(fcc_cell(1), shear)
    for number in range(8):
        strain = rng.normal(scale=0.05, size=(3, 3))
        yield f'strain-random-{number}', strained(fcc_cell(2), (strain + strain.T) / 2)


def rattles(rng: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """Displaced atoms at three volumes each."""
    amplitudes = (0.05, 0.10, 0.20, 0.30)
    for ratio, amplitude in itertools.product((0.90, 1.00, 1.12), amplitudes):
        yield f'rattle-fcc2-{ratio:.2f}-{amplitude:.2f}', rattled(at_volume(fcc_cell(2), ratio), amplitude, rng)
    for ratio, amplitude in itertools.product((0.88, 1.00, 1.15), amplitudes):
        yield f'rattle-fcc4-{ratio:.2f}-{amplitude:.2f}', rattled(at_volume(fcc_cell(4), ratio), amplitude, rng)
    for ratio, amplitude in itertools.product((0.95, 1.08), (0.10, 0.20)):
        hcp = at_volume(hcp_cell(np.sqrt(8 / 3)), ratio)
        yield f'rattle-hcp2-{ratio:.2f}-{amplitude:.2f}', rattled(hcp, amplitude, rng)


def vacancies(rng: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """Eight-atom fcc cells with one atom taken out."""
    cell = fcc_cell(1).repeat(2)
    del cell[0]
    for ratio in (0.94, 1.00, 1.06):
        yield f'vacancy-volume-{ratio:.2f}', at_volume(cell, ratio * 8 / 7)
    for amplitude in (0.08, 0.15, 0.25):
        yield f'vacancy-rattle-{amplitude:.2f}', rattled(cell, amplitude, rng)


def surfaces(rng: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """Thin slabs, as cut and rattled, periodic in the plane only."""
    builders: dict[str, Callable[..., Atoms]] = {'111': fcc111, '100': fcc100, '110': fcc110}
    for (facet, builder), layers in itertools.product(builders.items(), (3, 4)):
        slab = builder('Al', (1, 1, layers), a=LATTICE_CONSTANT, vacuum=VACUUM)
        slab.set_tags(0)  # AiiDA would make a kind of its own of each layer
        yield f'surface-{facet}-{layers}', slab
        if layers == 4:
            yield f'surface-{facet}-{layers}-rattle-0.12', rattled(slab, 0.12, rng)


def clusters() -> Iterator[tuple[str, Atoms]]:
    """One atom, the reference of the energies, and small molecules in a box."""
    shapes = {
        'dimer': ([[0, 0, 0], [1, 0, 0]], (2.0, 2.2, 2.4, 2.6, 2.8, 3.1, 3.5, 4.0, 4.6)),
        'trimer-line': ([[-1, 0, 0], [0, 0, 0], [1, 0, 0]], (2.5,)),
        'trimer': ([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]], (2.3, 2.6, 3.0)),
        'tetramer': (np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / np.sqrt(2), (2.7,)),
    }
    yield 'isolated-atom', in_box(np.zeros((1, 3)))
    for shape, (corners, bonds) in shapes.items():
        for bond in bonds:
            yield f'{shape}-{bond:.1f}', in_box(np.array(corners) * bond)


def in_box(positions: np.ndarray) -> Atoms:
    """Put a molecule into the middle of the box."""
    molecule = Atoms(f'Al{len(positions)}', positions=positions, cell=[BOX] * 3)
    molecule.center()
    return molecule


def make_structures() -> dict[str, Atoms]:
    """Return all structures by name. Each family draws from its own stream, so that one can grow without the others."""
    streams = (np.random.default_rng([SEED, family]) for family in itertools.count())
    random_families = (make(rng) for make, rng in zip((strains, rattles, vacancies, surfaces), streams, strict=False))
    named = [*volumes(), *itertools.chain.from_iterable(random_families), *clusters()]
    structures = dict(named)
    if len(structures) != len(named):
        raise ValueError('two structures have one name')
    return structures


def k_mesh(atoms: Atoms, spacing: float) -> list[int]:
    """Return the Γ-centred mesh with at most `spacing` (1/Å) between points, one point along directions of vacuum."""
    lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    counts = np.ceil(lengths / spacing - 1e-6).astype(int)
    return [int(count) if periodic else 1 for count, periodic in zip(counts, atoms.pbc, strict=True)]


def compute(
    name: str, atoms: Atoms, cutoff: float = CUTOFF, smearing: float = SMEARING, spacing: float = K_SPACING
) -> Atoms:
    """Run one scf through AiiDA, or take it from the cache, and return the structure with its labels.

    :param name: label of the calculation.
    :param atoms: the structure.
    :param cutoff: of the plane waves, in Ry.
    :param smearing: width, in Ry.
    :param spacing: of the k-points, in 1/Å.
    :return: a copy with energy (eV), forces (eV/Å) and stress (eV/Å³, ASE's sign) attached.
    :raises RuntimeError: if the calculation failed.
    """
    from aiida import engine, orm
    from aiida.manage.caching import enable_caching
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_quantumespresso.calculations.pw import PwCalculation

    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh(k_mesh(atoms, spacing))
    builder = get_code().get_builder()
    builder.structure = orm.StructureData(ase=atoms)
    builder.kpoints = kpoints
    builder.pseudos = {'Al': UpfData.get_or_create(PSEUDO)}
    builder.parameters = orm.Dict(
        {
            'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': True},
            'SYSTEM': {'ecutwfc': cutoff, 'occupations': 'smearing', 'smearing': 'mv', 'degauss': smearing},
            'ELECTRONS': {'conv_thr': 1e-8},
        }
    )
    builder.metadata.label = name
    builder.metadata.options.resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    builder.metadata.options.withmpi = False
    with enable_caching(identifier=PwCalculation.build_process_type()):
        outputs, node = engine.run_get_node(builder)
    if not node.is_finished_ok:
        raise RuntimeError(f'{name}: pw.x ended with {node.exit_status} ({node.exit_message}), see node {node.pk}')
    return labelled(atoms, outputs['output_trajectory'])


def labelled(atoms: Atoms, trajectory) -> Atoms:
    """Attach the last frame of a PwCalculation's trajectory."""
    # aiida-quantumespresso stores the stress in GPa, positive where the crystal is compressed: the opposite of ASE.
    stress = -trajectory.get_array('stress')[-1] * GPa
    result = atoms.copy()
    result.calc = SinglePointCalculator(
        result,
        energy=float(trajectory.get_array('energy')[-1]),
        forces=trajectory.get_array('forces')[-1],
        stress=stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
    )
    return result


def get_code():
    """Return the code for `pw.x`, made on the first call, and take away localhost's waiting times."""
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        return orm.load_code('pw@localhost')
    except NotExistent:
        computer = orm.load_computer('localhost')
        computer.set_minimum_job_poll_interval(0.0)
        computer.configure(safe_interval=0.0)
        code = orm.InstalledCode(
            computer=computer,
            filepath_executable=EXECUTABLE,
            label='pw',
            default_calc_job_plugin='quantumespresso.pw',
        )
        return code.store()


def make_data() -> None:
    """Compute all structures and write the data file."""
    results = []
    structures = make_structures()
    for number, (name, atoms) in enumerate(structures.items(), start=1):
        result = compute(name, atoms)
        result.info = {'name': name, 'config_type': name.split('-')[0]}
        results.append(result)
        energy = result.get_potential_energy() / len(result)
        print(f'{number:3d}/{len(structures)}  {name:28s} {energy:12.5f} eV/atom', flush=True)
    write(HERE / 'al-lda.extxyz', results, format='extxyz')


def check_convergence() -> None:
    """Print how far energies agree between cells of one crystal, and how they change with k-points and cutoff."""

    def energy(atoms: Atoms, **settings: float) -> float:
        return 1000 * compute('convergence', atoms, **settings).get_potential_energy() / len(atoms)

    print('one fcc crystal in cells of 1, 2, 3 and 4 atoms: energies beside the first, meV/atom')
    for smearing, spacing in ((0.03, K_SPACING), (0.05, K_SPACING), (SMEARING, 0.25), (SMEARING, K_SPACING)):
        energies = np.array([energy(fcc_cell(size), smearing=smearing, spacing=spacing) for size in (1, 2, 3, 4)])
        print(f'  smearing {smearing:.2f} Ry, k-spacing {spacing:.2f} 1/Å: {np.round(energies - energies[0], 2)}')

    structures = make_structures()
    print('change with k-spacing 0.13 1/Å: energy, meV/atom, and the force component that changes most, meV/Å')
    for name in ('fcc-volume-1.00', 'bcc-volume-1.00', 'hcp-volume-1.00', 'rattle-fcc2-1.00-0.20', 'surface-111-4'):
        used, dense = (compute('convergence', structures[name], spacing=spacing) for spacing in (K_SPACING, 0.13))
        de = 1000 * (dense.get_potential_energy() - used.get_potential_energy()) / len(used)
        df = 1000 * np.abs(dense.get_forces() - used.get_forces()).max()
        print(f'  {name:24s} {de:8.2f} {df:8.2f}')

    print('energies beside fcc-volume-1.00 with 20 and 40 Ry, meV/atom')
    for name in ('fcc-volume-0.80', 'fcc-volume-0.91', 'fcc-volume-1.10', 'fcc-volume-1.25', 'bcc-volume-1.00'):
        fcc = structures['fcc-volume-1.00']
        pair = [energy(structures[name], cutoff=cutoff) - energy(fcc, cutoff=cutoff) for cutoff in (CUTOFF, 40.0)]
        print(f'  {name:24s} {pair[0]:8.2f} {pair[1]:8.2f}')


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument('--convergence', action='store_true', help='print the convergence table instead')
    choice.add_argument('--list', action='store_true', help='print the names of the structures instead')
    arguments = parser.parse_args()
    if arguments.list:
        for name, atoms in make_structures().items():
            print(f'{name:28s} {len(atoms)} atoms, shortest distance {shortest_distance(atoms):.2f} Å')
        return

    from aiida import load_profile

    load_profile()
    if arguments.convergence:
        check_convergence()
    else:
        make_data()


if __name__ == '__main__':
    main()
