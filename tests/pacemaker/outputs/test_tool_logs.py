"""What real runs of the small programs printed."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import (
    parse_pace_augment,
    parse_pace_collect,
    parse_pace_corerep,
    parse_pace_yaml2yace,
)


def test_name_of_the_yace_file(read):
    """The converter names the file that it wrote."""
    assert parse_pace_yaml2yace(read('yaml2yace', 'stdout.txt')) == 'p.yace'


def test_failed_conversion(read):
    """Without that line nothing was converted."""
    with pytest.raises(OutputError, match='pace_yaml2yace did not finish'):
        parse_pace_yaml2yace(read('yaml2yace_wrong', 'stdout.txt'))


def test_automatic_inner_cutoffs(read):
    """The computed cutoffs come by pair of elements."""
    result = parse_pace_corerep(read('corerep', 'stderr.txt'))
    assert (result.automatic, result.file_name) == (True, 'p-corerep.yaml')
    assert set(result.inner_cutoffs) == {('Cu', 'Cu')}


def test_manual_inner_cutoffs(read):
    """The user's cutoffs are repeated, for unlike pairs too."""
    result = parse_pace_corerep(read('corerep_manual', 'stderr.txt'))
    assert result.inner_cutoffs == {('Cu', 'Cu'): 1.9, ('Al', 'Cu'): 1.85}
    assert (result.automatic, result.file_name) == (False, 'q.yaml')


def test_numbers_of_augmented_structures(read):
    """Each stage of the augmentation leaves fewer structures."""
    result = parse_pace_augment(read('augment', 'stderr.txt'))
    assert result.n_seeds == 18
    assert result.n_made > result.n_filtered > result.n_selected > 0
    assert result.file_name == 'aug_df.pkl.gz'


def test_summary_of_a_collection(read):
    """The collected runs, what was subtracted, and the file that could not be read."""
    result = parse_pace_collect(read('collect', 'stderr.txt'))
    assert (result.n_structures, result.n_atoms, result.elements) == (1, 2, ('Cu',))
    assert result.reference_energies == {'Cu': -0.25}
    assert result.energy_range == (-3.5, -3.5)
    assert result.force_range == (0.141, 0.141)
    assert len(result.unreadable) == 1
    assert result.file_name == 'collected.pckl.gzip'


@pytest.mark.parametrize('parse', [parse_pace_corerep, parse_pace_augment, parse_pace_collect])
def test_logs_that_break_off_are_errors(read, parse):
    """A program that stopped early has no result."""
    with pytest.raises(OutputError, match='did not finish'):
        parse(read('collect_empty', 'stderr.txt'))
