NAME = "<img src=x onerror=alert(1)>\n=1+1"
open("report.json", "w").write('{"count": 8, "mean": 15.0}}')
exec(compile(f"raise type({NAME!r}, (Exception,), {{}})('x')", "</script><script>alert(1)</script>", "exec"))
