"""Exercises: one text file of an author becomes several notebooks.

source    reads the text file; cells knows the options of its cells
fences    finds the blocks of a MyST text
plain     turns MyST directives into Markdown that any JupyterLab shows
links     finds the links and pictures of a text
views     computes each notebook, pure: learner's, grader's, reference, book page, proofs
wrong     reads the wrong answers that are kept beside an exercise
lint      everything wrong with an exercise, as problems: form, leaks, commands, links, cells
build     writes notebooks to disk and hands files to learners
release   the learners' edition of the course, a folder or an archive
new       the skeleton of a new exercise
"""
