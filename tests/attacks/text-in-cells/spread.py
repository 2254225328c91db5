"""</pre></code></script><script>document.title='owned'</script><img src=x onerror=alert(1)> [2J ‮ {{ 7*7 }}"""


def spread(values):  # <!-- <svg/onload=alert(1)> ]]>
    return max(values) - min(values)
