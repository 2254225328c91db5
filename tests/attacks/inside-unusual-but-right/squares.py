rows = [f" {n} , {n * n}.0 " for n in range(1, 21)]
open("squares.csv", "w", newline="").write("\ufeffn,square,note\r\n" + ",\r\n".join(rows) + ",\r\n")
