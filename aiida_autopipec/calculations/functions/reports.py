"""Reports of what was merged, as nodes."""

from __future__ import annotations

import json
from typing import Any

from aiida.orm import Dict

from aiida_autopipec.pacemaker.dataset.merge import MAX_LISTED, MergeReport


def report_node(content: dict[str, Any], merged: MergeReport) -> Dict:
    """Return the unstored node of a report.

    A database is no place for a million names: a list of more than
    :data:`~aiida_autopipec.pacemaker.dataset.merge.MAX_LISTED` is complete in a file in the repository of the node, for
    example ``duplicates_removed.json``.

    :param content: the report; what is in it of ``merged`` comes from :meth:`MergeReport.as_dict`.
    """
    node = Dict(content)
    for name, pairs in merged.lists.items():
        if len(pairs) > MAX_LISTED:
            node.base.repository.put_object_from_bytes(json.dumps(pairs).encode(), f'{name}.json')
    return node
