def make(folder, lab):
    notebook = lab.read(folder)
    for text in (
        "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
        "[points](javascript:alert(1)) [x](data:text/html,<script>alert(1)</script>) ![p](http://evil.example/p.png)",
        "*" * 200_000 + "[" * 50_000,
        "$$\\href{javascript:alert(1)}{x}$$ <svg onload=alert(1)>",
    ):
        notebook["cells"].insert(1, lab.markdown(text))
    notebook["cells"][1]["attachments"] = {"x.svg": {"image/svg+xml": "PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+"}}
    lab.write(folder, notebook)
