"""A small lab for tests, and the learner's notebook of it, to be changed as learners change them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec

from hpclab.app.grading.lab_model import lab_of
from hpclab.grading.model import Lab

TEXT = """---
title: Two numbers
difficulty: 1
minutes: 5
points: 3
cost: {seconds: 1, cpus: 1}
nodes: 0
---

**You will be able to** write numbers into files.

```{code-cell} python
start = 40
```

**Your task (2 points).** Write `two.txt` with the number 2.

```{code-cell} python
:exercise: two
:role: answer

### BEGIN SOLUTION
open("two.txt", "w").write("2")
### END SOLUTION
```

```{code-cell} python
:exercise: two
:role: tests
:points: 1

from hpclab import evidence
evidence.check(evidence.text("two.txt").strip().isdigit(), "no number", "a number")
```

```{code-cell} python
:exercise: two
:role: hidden-tests
:points: 1

from hpclab import evidence
evidence.check(evidence.text("two.txt").strip() == "2", "another number", "two")
```

**Your task (1 point).** Write `sum.txt` with two more than `start`.

```{code-cell} python
more = 2
```

```{code-cell} python
:exercise: sum
:role: answer

### BEGIN SOLUTION
open("sum.txt", "w").write(str(start + more))
### END SOLUTION
```

```{code-cell} python
:exercise: sum
:role: tests
:points: 1

from hpclab import evidence
evidence.check(evidence.text("sum.txt").strip() == "42", "another number", "42")
```

That was all.
"""
ANSWERS = {
    "two": 'open("two.txt", "w").write("2")',
    "sum": 'open("sum.txt", "w").write(str(start + more))',
}


def make(folder: Path, text: str = TEXT, name: str = "ex01-numbers") -> Lab:
    """The lab that ``text`` describes, with its file below ``folder``."""
    path = folder / "90-tests" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return msgspec.structs.replace(lab_of(path), files={})


def notebook(lab: Lab, answers: dict[str, str] | None = None) -> Any:
    """The learner's notebook with these answers, as JSON."""
    made = json.loads(lab.notebook)
    for cell in made["cells"]:
        cell["source"] = (answers or {}).get(cell["id"], "".join(cell["source"]))
    return made


def files(notebook: Any, name: str = "ex01-numbers.ipynb") -> dict[str, bytes]:
    return {name: json.dumps(notebook).encode()}


def at(notebook: Any, name: str) -> int:
    return [cell["id"] for cell in notebook["cells"]].index(name)


def code(source: str, **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"x{abs(hash(source)) % 10**8}",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": source,
        **copy.deepcopy(more),
    }
