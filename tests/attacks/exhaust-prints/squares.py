with open("squares.csv", "w") as file:
    file.write("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 21)))
for _ in range(200):
    print("x" * 1_000_000)
