"""The domain's name in the configuration that lies in front of a Xen save stream.

Four kinds: JSON (xl since 4.5), xl.cfg, xend's S-expression, libvirt's XML. The text is untrusted: only the name is
looked for, and nothing is the answer to whatever cannot be understood.
"""

import json
import re
from collections.abc import Mapping

NAMES = (
    re.compile(rb"""^\s*name\s*=\s*["']([^"'\n]{1,256})["']""", re.M),  # xl.cfg
    re.compile(rb"""\(name\s+['"]?([^()'"\s]{1,256})['"]?\)"""),  # S-expression
    re.compile(rb"<name>([^<]{1,256})</name>"),
)


def domain_name(config: bytes) -> str:
    """The name, empty where the configuration gives none."""
    if config.lstrip()[:1] == b"{":
        return _in_json(config)
    for pattern in NAMES:
        if found := pattern.search(config):
            return found[1].decode("utf-8", "replace")
    return ""


def _in_json(config: bytes) -> str:
    try:
        parsed = json.loads(config)
    except (ValueError, RecursionError):
        return ""
    info = parsed.get("c_info") if isinstance(parsed, Mapping) else None
    name = info.get("name") if isinstance(info, Mapping) else None
    return name if isinstance(name, str) else ""
