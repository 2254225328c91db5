with open("squares.csv", "w") as file:
    file.write("=1+1,+1,-1,@x,\"\t=1\",\"\r=1\"\n")
