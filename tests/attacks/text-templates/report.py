import json

text = "{{ 7*7 }} {% for x in [].__class__.__mro__ %} [bold red]x[/] [link=http://evil.example]y[/link] %s %n {0.__class__} ${jndi:ldap://x} `id` $(id) {self} <<<>>> ]]> -->"
print(text)
with open("report.json", "w") as file:
    json.dump({"count": text, "mean": text, text: text}, file)
raise ValueError(text)
