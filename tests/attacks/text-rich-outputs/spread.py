from IPython.display import display

SCRIPT = "<script>alert(1)</script>"
for kind, text in {
    "image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>{SCRIPT}<foreignObject>{SCRIPT}</foreignObject></svg>",
    "application/javascript": "alert(1)",
    "text/javascript": "alert(1)",
    "application/vnd.jupyter.widget-view+json": {"model_id": SCRIPT, "version_major": 2},
    "application/vnd.plotly.v1+json": {"data": SCRIPT},
    "text/markdown": f"[click](javascript:alert(1)) ![x](http://evil.example/pixel.png) {SCRIPT}\n\n<img src=x onerror=alert(1)>",
    "text/latex": "$$\\href{javascript:alert(1)}{x} \\require{html} \\class{x}{y}$$" + SCRIPT,
    "image/png": '"><script>alert(1)</script>',
    "image/jpeg": "AAAA' onerror='alert(1)",
    "application/pdf": "AAAA",
    "application/json": {SCRIPT: SCRIPT},
    "text/html; charset=utf-8": SCRIPT,
    "TEXT/HTML": SCRIPT,
    f"x/{SCRIPT}": SCRIPT,
}.items():
    display({kind: text}, raw=True, metadata={kind: {"width": '1" onload="alert(1)', "isolated": True, "alt": '"><script>alert(1)</script>'}})


def spread(values):
    return max(values) - min(values)
