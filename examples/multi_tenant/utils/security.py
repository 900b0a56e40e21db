"""Make rich text safe to show."""

from stockade.compat import sanitize_html

__all__ = ["sanitize_html"]
