"""Writing YAML that means the same to YAML 1.1 (PyYAML) and YAML 1.2 (Pacemaker's ruamel.yaml)."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Safe YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal lists out each time, as a person would."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote what does not start with a letter: PyYAML would write ``1e-3`` bare, and YAML 1.2 reads a number."""
    return dumper.represent_scalar('tag:yaml.org,2002:str', text, style=None if text[:1].isalpha() else "'")


_Dumper.add_representer(str, _represent_text)


def dump_yaml(data: dict[str, Any]) -> str:
    """Return a mapping as YAML, in its own order, the innermost lists and mappings on one line."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return text
