"""What students hand in, from any source: staged, checked, stored by content, with a receipt for each version.

student_ids  which ids are valid, and which student another system's id means
paths        which file names are accepted
staging      a folder that may be hostile and may change during the copy → regular files of our own
archives     zip and tar → a folder, with caps on what really comes out (inflate: compressed bytes)
sources      nbgrader's exchange and folders, and which kind a source is; platforms: Canvas and Moodle
incoming     one submission as a source shows it
collect      a source → receipts, one submission after the other
ipynb        the bytes of an untrusted notebook → its cells
objects      content by its hash, written once; store: objects and receipts
receipt_text a receipt as text for the student
"""
