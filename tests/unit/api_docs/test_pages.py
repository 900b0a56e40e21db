from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.api_docs.pages import (
    PINNED_PARAMETERS,
    oauth2_redirect_page,
    redoc_page,
    swagger_page,
)

HOSTILE = "</title></script><script>alert(1)</script>\" onload='alert(1)' <!--"


class Page(HTMLParser):
    """Collect what a browser would see: elements with their attributes, and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def element(self, element_id: str) -> dict[str, str | None]:
        """Return the attributes of the element with this id."""
        return next(attrs for _, attrs in self.elements if attrs.get("id") == element_id)

    def data(self, element_id: str, name: str) -> object:
        """Return the JSON that a data attribute holds."""
        value = self.element(element_id)[f"data-{name}"]
        assert value is not None
        return json.loads(value)


def swagger(**values: object) -> bytes:
    """Build a Swagger UI page with harmless values but for the given ones."""
    arguments = {"title": "T", "openapi_url": "/openapi.json", "assets_url": "/docs/assets"}
    return swagger_page(**{**arguments, **values})  # type: ignore[arg-type]  # Loose on purpose.


PAGES = {
    "swagger": swagger(oauth2_redirect_url="/docs/oauth2-redirect", oauth={"clientId": "c"}),
    "redoc": redoc_page(title="T", openapi_url="/openapi.json", assets_url="/docs/assets"),
    "redirect": oauth2_redirect_page(assets_url="/docs/assets"),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_page_has_nothing_inline(page: bytes) -> None:
    """Every script has a source, and there is no style element or attribute or event handler."""
    for tag, attributes in Page(page).elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not any(name == "style" or name.startswith("on") for name in attributes)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_page_loads_only_its_own_assets(page: bytes) -> None:
    """No address on the page leaves the folder of assets."""
    links = [
        value
        for _, attributes in Page(page).elements
        for name, value in attributes.items()
        if name in {"src", "href"}
    ]
    assert links
    assert all(link is not None and link.startswith("/docs/assets/") for link in links)


def test_swagger_page_carries_its_configuration() -> None:
    """What the script needs stands in data attributes."""
    page = Page(PAGES["swagger"])
    element = page.element("swagger-ui")
    assert element["data-openapi-url"] == "/openapi.json"
    assert element["data-oauth2-redirect-url"] == "/docs/oauth2-redirect"
    assert page.data("swagger-ui", "oauth") == {"clientId": "c"}


def test_swagger_page_without_oauth_has_no_such_attributes() -> None:
    """What an application does not use is not on its page."""
    element = Page(swagger()).element("swagger-ui")
    assert not {"data-oauth", "data-oauth2-redirect-url"} & element.keys()


def test_try_it_out_is_on_unless_the_application_says_no() -> None:
    """Parameters of the application replace the defaults."""
    assert Page(swagger()).data("swagger-ui", "parameters") == {
        "deepLinking": True,
        "showExtensions": True,
        "showCommonExtensions": True,
        "tryItOutEnabled": True,
    }
    page = Page(swagger(parameters={"tryItOutEnabled": False, "filter": True}))
    parameters = page.data("swagger-ui", "parameters")
    assert isinstance(parameters, dict)
    assert parameters["tryItOutEnabled"] is False
    assert parameters["filter"] is True


def test_pinned_parameters_are_left_out() -> None:
    """What decides where the page loads from and sends to is not the application's to set."""
    page = Page(swagger(parameters=dict.fromkeys(PINNED_PARAMETERS, "https://evil.example")))
    assert b"evil.example" not in swagger(parameters={"configUrl": "https://evil.example"})
    parameters = page.data("swagger-ui", "parameters")
    assert isinstance(parameters, dict)
    assert not PINNED_PARAMETERS & parameters.keys()


@given(st.text() | st.just(HOSTILE))
def test_every_text_is_escaped(text: str) -> None:
    """Whatever a value holds, the page has the same elements and the value arrives unchanged."""
    # A lone surrogate can't be sent, and HTML replaces NUL and CR: they are not the subject here.
    text = text.encode(errors="replace").decode().translate({0: None, 13: None})
    page = Page(
        swagger(
            title=text,
            openapi_url=text,
            oauth2_redirect_url=text,
            parameters={text: text},
            oauth={"clientId": text},
        )
    )
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in Page(swagger()).elements]
    assert page.element("swagger-ui")["data-openapi-url"] == text
    assert page.data("swagger-ui", "oauth") == {"clientId": text}


@pytest.mark.parametrize("build", [swagger_page, redoc_page], ids=["swagger", "redoc"])
def test_hostile_title_and_prefix_stay_text(build: object) -> None:
    """A title or a prefix can't close its element or its attribute."""
    assert callable(build)
    page = build(title=HOSTILE, openapi_url=HOSTILE, assets_url=HOSTILE)
    scripts = [attributes for tag, attributes in Page(page).elements if tag == "script"]
    assert len(scripts) == 2
    assert all((attributes["src"] or "").startswith(HOSTILE) for attributes in scripts)
    assert HOSTILE in Page(page).texts


def test_lone_surrogate_does_not_break_the_page() -> None:
    """A title that is no valid Unicode still gives a page."""
    assert b"&#55296;" in redoc_page(title="\ud800", openapi_url="/o", assets_url="/a")
