"""Looks of the page, in the colours of the app's two themes; the system chooses one, a button changes it."""

_LIGHT = """
  --page:#f4f5f7; --card:#ffffff; --raised:#eceef1; --line:#d3d7de; --text:#1d2229; --muted:#5a6472;
  --accent:#0f7d68; --soft:#dcefe9; --alert:#b3372a; --grid:#e4e7eb; --mark:#a66c00; --surround:#d9dbdf;
  --s0:#0072b2; --s1:#c47f00; --s2:#00795a; --s3:#a8518a; --s4:#8a7f00; --s5:#b84f1b;
  --s6:#3a63a8; --s7:#5a6472;
  color-scheme:light;
"""
_DARK = """
  --page:#1b1e24; --card:#22262e; --raised:#2d323d; --line:#3a404d; --text:#e6e9ee; --muted:#a3acbb;
  --accent:#4cc2a8; --soft:#1f4038; --alert:#f08b7d; --grid:#323845; --mark:#e8b44c; --surround:#14161a;
  --s0:#56b4e9; --s1:#e69f00; --s2:#2fc39a; --s3:#cc79a7; --s4:#f0e442; --s5:#d9734a;
  --s6:#4f8fd0; --s7:#b8bfca;
  color-scheme:dark;
"""
_SERIES = "".join(
    f".c{i}{{fill:var(--s{i});stroke:var(--s{i})}} .r{i}{{fill:none;stroke:var(--s{i})}} " for i in range(8)
)
CSS = f"""
:root{{{_LIGHT}}}
@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{_DARK}}}}}
:root[data-theme=dark]{{{_DARK}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",
  Roboto,"Noto Sans",sans-serif}}
main{{max-width:1080px;margin:0 auto;padding:28px 20px 60px}}
h1{{font-size:26px;line-height:1.25;margin:0 0 4px}}
h2{{font-size:19px;margin:0 0 12px}}
h3{{font-size:16px;margin:24px 0 8px}}
p{{margin:8px 0}}
a{{color:var(--accent)}}
section{{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 24px 22px;
  margin:18px 0}}
header{{position:relative;padding-right:110px}}
.sub,.note,figcaption span{{color:var(--muted)}}
.note{{font-size:13px}}
nav{{margin:14px 0 0;display:flex;flex-wrap:wrap;gap:4px 16px;font-size:14px}}
nav a{{text-decoration:none}} nav a:hover{{text-decoration:underline}}
#theme{{position:absolute;right:0;top:2px;font:inherit;font-size:13px;color:var(--text);background:var(--raised);
  border:1px solid var(--line);border-radius:7px;padding:4px 12px;cursor:pointer}}
.which{{margin:18px 0 0;font-weight:600}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:12px;margin:8px 0 0}}
.tiles div{{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}}
.tiles b{{display:block;font-size:22px;line-height:1.3;font-variant-numeric:tabular-nums}}
.tiles span{{color:var(--muted);font-size:13px;display:block}}
.warn{{border-left:4px solid var(--alert);padding:2px 0 2px 14px;margin:14px 0}}
.warn li{{margin:3px 0}} .warn ul{{margin:4px 0;padding-left:18px}}
.scroll{{overflow-x:auto;margin:10px 0}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px;min-width:100%}}
caption{{text-align:left;color:var(--muted);padding:0 0 6px;font-size:13px}}
th,td{{padding:5px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}}
th[scope=row],tbody th,th:first-child{{text-align:left;font-weight:500;padding-left:4px}}
thead th{{vertical-align:bottom;font-weight:600}}
thead .group{{text-align:center;color:var(--muted);font-weight:500}}
thead .above th{{border-bottom:none;padding-bottom:0}}
.unit{{display:block;color:var(--muted);font-weight:400;font-size:12px}}
tr.block th{{padding-top:14px;font-weight:600;color:var(--accent)}}
tr.yardstick td,tr.yardstick th{{color:var(--muted)}}
tbody tr:last-child>*{{border-bottom:none}}
.best{{font-weight:700;background:var(--soft);border-radius:5px;padding:2px 6px;margin:-2px -6px}}
.second{{text-decoration:underline;text-decoration-thickness:2px;text-underline-offset:3px;
  text-decoration-color:var(--accent)}}
.note .best,.note .second{{margin:0}}
.facts th{{width:190px;color:var(--muted);font-weight:400;vertical-align:top;white-space:normal}}
.facts td{{text-align:left;white-space:normal;overflow-wrap:anywhere}}
code,pre{{font:13px/1.5 ui-monospace,"SF Mono",Consolas,"DejaVu Sans Mono",monospace}}
pre{{background:var(--raised);border-radius:7px;padding:10px 14px;overflow-x:auto;margin:8px 0;
  white-space:pre-wrap;overflow-wrap:anywhere}}
details{{margin:10px 0}} summary{{cursor:pointer;color:var(--accent);padding:4px 0}}
.crops{{display:grid;grid-template-columns:repeat(auto-fill,min(var(--crop),100%));gap:14px;
  margin:12px 0}}
figure{{margin:0}} figcaption{{font-size:13px;margin-top:5px;line-height:1.35}}
figcaption b,figcaption span{{display:block}} figcaption b{{font-weight:600}}
img{{display:block;max-width:100%}}
.crop{{width:100%;image-rendering:pixelated;border-radius:4px;background:var(--surround)}}
.slices div{{display:grid;grid-template-columns:150px minmax(0,1fr);align-items:center;gap:12px;margin:5px 0}}
.slices span{{font-size:13px;text-align:right}}
.slices img{{width:100%;image-rendering:pixelated;border-radius:4px}}
.overview{{position:relative;display:inline-block;max-width:100%;margin:6px 0}}
.overview img{{border-radius:4px}}
.overview i{{position:absolute;display:block}}
.overview .region{{outline:2px solid #ffd54f;box-shadow:0 0 0 3px #000a}}
.overview .row{{border-top:1px dashed #ffd54f}}
svg{{display:block;width:100%;min-width:720px;max-width:980px;height:auto}}
svg text{{fill:var(--text);font-size:13px}} svg .tick{{fill:var(--muted);font-size:12px}}
svg .label{{font-size:13px}} svg .marked{{fill:var(--mark);font-size:12px}}
.axis{{stroke:var(--muted);stroke-width:1}} .grid{{stroke:var(--grid);stroke-width:1}}
.mark{{stroke:var(--mark);stroke-width:1.3;stroke-dasharray:5 4}}
{_SERIES}
.dot{{stroke:var(--card);stroke-width:1}} .bar{{stroke:none}}
.faint,.curve{{fill:none;stroke-linejoin:round}} .curve{{stroke-width:2.2}}
.faint{{stroke-width:1;opacity:.32}}
.ring{{stroke-width:1.8;fill:var(--card)}}
@media (max-width:640px){{section{{padding:16px 14px}} .slices div{{grid-template-columns:1fr}}
  .slices span{{text-align:left}}}}
@media print{{#theme,nav{{display:none}} section{{break-inside:avoid-page}} body{{background:none}}}}
"""
SCRIPT = """
(function () {
  var root = document.documentElement, button = document.getElementById("theme");
  var system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  var dark = (root.dataset.theme || system) === "dark";
  function show() { button.textContent = dark ? "Light" : "Dark"; }
  button.hidden = false;
  button.onclick = function () { dark = !dark; root.dataset.theme = dark ? "dark" : "light"; show(); };
  show();
})();
"""
