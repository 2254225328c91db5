"""Marks and findings for people: feedback for students, reports and exports for instructors.

wording          the fixed texts of feedback
cell_outputs     what a student's cells printed, sanitized
feedback_model   the content of a student's feedback, as plain values
feedback_text    that content as plain text
overview         one lab of a course, a row for each student
class_report     distribution of marks, frequent mistakes, submissions to review
pages            feedback and report as HTML in one file, from the templates in templates/
export           marks as CSV
exchange         feedback through nbgrader's exchange
"""
