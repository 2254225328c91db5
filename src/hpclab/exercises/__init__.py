"""Exercises: one text file of an author becomes several notebooks.

source   reads the text file and checks it
plain    turns MyST directives into Markdown that any JupyterLab shows
views    computes the learner's and the reference notebook, pure
wrong    reads the wrong answers that are kept beside an exercise
build    writes notebooks to disk and hands them to learners
"""
