"""What commands do with new nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida.orm import Node


def add_to_group(node: Node, label: str) -> None:
    """Add a node to a group, which is made where needed."""
    from aiida.orm import Group

    collection, _ = Group.collection.get_or_create(label)
    collection.add_nodes(node)
