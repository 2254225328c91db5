"""A course from release to export: what `hpclab release`, `feedback`, `report`, `export` and `audit` do.

labs      which lab a name means, and everything known of a lab's marks
release   a lab into the course's folder and nbgrader's exchange
feedback  pages for students, published and recorded
report    the report on one lab, for instructors
export    marks as CSV, recorded
history   the ledger's records of a student or a lab, as a table
"""
