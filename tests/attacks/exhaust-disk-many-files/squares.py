import os

with open("squares.csv", "w") as file:
    file.write("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 21)))

os.mkdir("many")
for number in range(500_000):
    with open(f"many/{number}", "w") as file:
        file.write("x")
    os.symlink("x", f"many/link-{number}")
