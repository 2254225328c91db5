with open("squares.csv", "w") as file:
    file.write('"<script>alert(1)</script>","\x1b[2J"\n1,2\n')
