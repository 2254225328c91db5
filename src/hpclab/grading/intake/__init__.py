"""What people handed in, whatever way it comes → staged, checked, kept by content, receipted.

people    who a submission is from: ids that may be names of files, and who is meant by another system's id
paths     which names of files are taken
staging   a folder that may be hostile and may change while we look → regular files of our own
archives  zip and tar → a folder, by a loop of our own with caps on what really comes out (inflate: packed bytes)
sources   nbgrader's exchange and folders, and which kind a source is; platforms: Canvas and Moodle; found: one submission
collect   all of them together: one submission after the other, and what became of each
words     a receipt as a text for the student
"""
