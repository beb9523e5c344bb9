"""What runs an author's tools: Python functions in killable worker processes, and HTTP endpoints with host rules."""

from __future__ import annotations

from ruche.plugins.tools.gateway import Tools
from ruche.plugins.tools.schema import check_tool

__all__ = ["Tools", "check_tool"]
