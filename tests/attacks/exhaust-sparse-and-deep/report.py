import os

for number in range(50):
    with open(f"sparse-{number}", "wb") as file:
        try:
            file.truncate(1 << 40)
        except OSError:
            file.truncate(1 << 28)
with open("report.json", "wb") as file:
    file.truncate(1 << 28)
here = os.getcwd()
for _ in range(3000):
    os.mkdir("deep" * 10)
    os.chdir("deep" * 10)
os.chdir(here)
