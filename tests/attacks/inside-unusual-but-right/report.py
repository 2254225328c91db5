open("report.json", "wb").write(b'\xef\xbb\xbf{\r\n "mean": 1.5e1, "extra": [null], "count": 8}\r\n')
