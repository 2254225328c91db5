from pathlib import Path

with open("squares.csv", "w") as file:
    file.write("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 21)))
for name in ("-rf", "--help", "--checkpoint-action=exec=sh x", "-o", "*", "$(id)", "`id`", ";id", "a\nb", "a\rb", "CON", "..a", "a b", "\u202egpj.x", "x" * 255, "\udcff\udcfe", "{{7*7}}", "=1+1", "'", '"', "\\", "~", "#"):
    Path(name).write_text("x")
    Path(f"folder-{name}"[:250]).mkdir()
