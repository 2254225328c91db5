with open("squares.csv", "w") as file:
    file.write("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(1, 21)))
!head -c 1000000000 /dev/zero | tr '\0' x
!head -c 1000000000 /dev/zero >&2
