"""Labs: an author's text file becomes several notebooks.

source           reads the text file; cells checks the options of its cells
fences           finds the blocks of a MyST text
plain_markdown   converts MyST directives into Markdown that any JupyterLab shows
links            finds the links and pictures of a text
views            builds each notebook (pure): learner's, grader's, reference, book page, proofs
wrong_answers    reads the wrong answers that are stored beside a lab
lint             finds the problems of a lab: required_parts, answer_leaks, commands, shadowed_names, links
build            writes notebooks to disk and delivers files to learners
release          the learners' edition of the course, as a folder or an archive
scaffold         the skeleton of a new lab
"""
