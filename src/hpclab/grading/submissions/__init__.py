"""Submissions from any source: staged, checked, stored by content, with a receipt for each version.

student_ids  the rule for ids, and similar ids
paths        the rules for file names
staging      a submission of a source, possibly hostile and changing → private regular files
archives     zip and tar → a folder, with limits on the extracted bytes
sources      nbgrader's exchange and folders, and the kind of a source; platforms: Canvas and Moodle
collect      a source → receipts, one submission after the other
ipynb        the bytes of an untrusted notebook → its cells
objects      content by its hash, written once; store: objects and receipts
receipt_text a receipt as text for the student
"""
