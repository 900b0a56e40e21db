from stockade.web import WebSettings, security_headers


def test_every_header_is_lower_case_and_ascii() -> None:
    """ASGI asks for names in lower case; the channel relies on it."""
    for name, value in security_headers(WebSettings(), hsts=True):
        assert name.islower()
        assert value.isascii()


def test_the_defaults_allow_nothing() -> None:
    """An answer of an API is neither run, framed, sniffed nor cached."""
    headers = dict(security_headers(WebSettings(), hsts=True))
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert b"unsafe" not in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert headers[b"strict-transport-security"] == b"max-age=31536000; includeSubDomains"


def test_hsts_is_sent_only_where_it_is_wanted() -> None:
    """A development server does not pin browsers to HTTPS, nor does an age of zero."""
    names = [name for name, _ in security_headers(WebSettings(), hsts=False)]
    none = [name for name, _ in security_headers(WebSettings(hsts_max_age=0), hsts=True)]
    assert b"strict-transport-security" not in names
    assert b"strict-transport-security" not in none
