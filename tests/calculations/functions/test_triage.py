"""The calcfunction that checks a dataset: what it gives back, and what the provenance holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict
from aiida.plugins import CalculationFactory

from aiida_autopipec.calculations.functions.triage import check_dataset
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError

DROP_DUPLICATES = {'actions': {'duplicate': 'drop'}}


@pytest.fixture
def structures(make_atoms) -> LabelledStructures:
    """Return fifteen structures and a copy of the fourth."""
    clean = LabelledStructures.from_atoms(make_atoms(15))
    copy = clean.take([3]).replace(names=np.array(['copy']))
    return LabelledStructures.concatenate([clean, copy])


@pytest.mark.usefixtures('aiida_profile')
class TestCheckDataset:
    """Nothing is lost and everything is in the provenance."""

    def test_without_rules_there_is_a_report_only(self, structures: LabelledStructures) -> None:
        """Findings are reported and nothing is dropped, so that there is no new dataset."""
        outputs, node = run_get_node(check_dataset, dataset=PaceDatasetData.from_structures(structures))
        assert node.is_finished_ok
        assert set(outputs) == {'report'}
        report = outputs['report'].get_dict()
        assert report['counts'] == {'duplicate': 1}
        assert (report['structures_in'], report['structures_dropped'], report['dropped']) == (16, 0, [])

    def test_dropped_structures_are_a_dataset_of_their_own(self, structures: LabelledStructures) -> None:
        """Kept and dropped structures are together those that went in, and the report names each with its reason."""
        reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0}}
        dataset = PaceDatasetData.from_structures(structures, reference=reference)
        outputs, node = run_get_node(check_dataset, dataset=dataset, rules=Dict(DROP_DUPLICATES))
        assert set(outputs) == {'report', 'kept', 'dropped'}
        assert outputs['dropped'].get_structures().names.tolist() == ['copy']
        assert outputs['kept'].get_structures().content_hash == structures.take(np.arange(15)).content_hash
        assert outputs['kept'].reference == outputs['dropped'].reference == reference
        (entry,) = outputs['report'].get_dict()['dropped']
        assert (entry['name'], entry['kinds']) == ('copy', ['duplicate'])
        assert outputs['kept'].creator == outputs['dropped'].creator == node
        assert node.inputs.dataset.uuid == dataset.uuid

    def test_files_without_a_dropped_structure_are_stored_once(self, structures: LabelledStructures) -> None:
        """Of a dataset in several files only the one that loses a structure is written anew, copies among files too."""
        parts = [structures.take(np.arange(8)), structures.take(np.arange(8, 16))]
        stored = [PaceDatasetData.from_structures(part).store() for part in parts]
        dataset = PaceDatasetData.from_structures([shard for node in stored for shard in node.stored_shards()])
        kept = check_dataset(dataset, Dict(DROP_DUPLICATES))['kept']
        hashes = [_shard_hashes(node) for node in (dataset, kept)]
        assert hashes[0][0] == hashes[1][0]
        assert hashes[0][1] != hashes[1][1]

    def test_wrong_rules_are_refused(self, structures: LabelledStructures) -> None:
        """A misspelt rule is an error that names the right one."""
        with pytest.raises(ConfigError, match='did you mean `cutoff_angstrom`'):
            check_dataset(PaceDatasetData.from_structures(structures), Dict({'cutof_angstrom': 5.0}))

    def test_rules_that_leave_nothing_are_refused(self, structures: LabelledStructures) -> None:
        """An empty dataset is not made."""
        rules = {'min_structures_per_element': 100, 'actions': {'rare_element': 'drop'}}
        with pytest.raises(DatasetError, match='the rules drop all 16 structures'):
            check_dataset(PaceDatasetData.from_structures(structures), Dict(rules))

    def test_entry_point(self) -> None:
        """The function is found by its name."""
        function: Any = CalculationFactory('autopipec.check_dataset')
        assert function is check_dataset


def _shard_hashes(node: PaceDatasetData) -> list[str]:
    serialized: dict[str, Any] = node.base.repository.serialize()['o']['shards']['o']
    return [serialized[name]['k'] for name in sorted(serialized)]
