"""Submissions from any source: staged, checked, stored by content, with a receipt for each version.

student_ids  which ids are valid, and similar ids
paths        which file names are accepted
staging      a submission of a source, possibly hostile and changing → private regular files
archives     zip and tar → a folder, with limits on the extracted bytes
sources      nbgrader's exchange and folders, and which kind a source is; platforms: Canvas and Moodle
collect      a source → receipts, one submission after the other
ipynb        the bytes of an untrusted notebook → its cells
objects      content by its hash, written once; store: objects and receipts
receipt_text a receipt as text for the student
"""
