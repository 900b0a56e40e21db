"""Read sanitized HTML with another parser than the sanitizer's own, and say what is wrong in it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

from stockade.sanitization import HTMLPolicy

VOID = {"br", "hr", "img", "col"}
FORCED = {("img", "loading"): "lazy", ("img", "referrerpolicy"): "no-referrer"}


class _Reader(HTMLParser):
    def __init__(self, policy: HTMLPolicy) -> None:
        super().__init__(convert_charrefs=True)
        self.policy = policy
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.policy.tags:
            self.faults.append(f"element {tag}")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img" and "src" not in dict(attrs):
            self.faults.append("image without a source")
        for name, value in attrs:
            self._check_attribute(tag, name, value or "")

    def _check_attribute(self, tag: str, name: str, value: str) -> None:
        if (tag, name) == ("a", "rel"):
            if value != self.policy.rel:
                self.faults.append(f"rel {value}")
        elif (tag, name) in FORCED:
            if value != FORCED[tag, name]:
                self.faults.append(f"{name} {value}")
        elif (tag, name) not in self.policy.attributes:
            self.faults.append(f"attribute {tag} {name}")
        elif name == "src":
            self._check_link(value)
            if value.strip().lower().startswith(("mailto:", "tel:", "sms:")):
                self.faults.append(f"source {value}")
        elif name == "href":
            self._check_link(value)

    def _check_link(self, value: str) -> None:
        if any(character in value for character in "\t\r\n\\\0"):
            self.faults.append(f"deceptive link {value!r}")
        link = value.strip()
        scheme, _, rest = link.partition(":")
        if rest and scheme.isalpha() and scheme.lower() not in self.policy.schemes:
            self.faults.append(f"scheme {scheme}")
        if link.startswith("//"):
            self.faults.append(f"other host {link}")
        if scheme.lower() in {"http", "https"} and rest and not rest.startswith("//"):
            self.faults.append(f"ambiguous link {urlsplit(link)}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"stray end of {tag}")

    def handle_comment(self, data: str) -> None:
        self.faults.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.faults.append("declaration")

    def unknown_decl(self, data: str) -> None:
        self.faults.append("declaration")

    def handle_pi(self, data: str) -> None:
        self.faults.append("processing instruction")


def find_faults(value: str, policy: HTMLPolicy) -> list[str]:
    """List everything in a sanitized value that its policy does not allow."""
    reader = _Reader(policy)
    reader.feed(value)
    reader.close()
    return [*reader.faults, *(f"unclosed {tag}" for tag in reader.open)]
