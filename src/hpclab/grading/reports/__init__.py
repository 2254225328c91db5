"""Marks and findings for people: feedback pages, class reports, exports.

overview         one lab of a course, a row for each student
class_report     totals, distribution and frequent mistakes; class_report_page: the same as HTML
feedback         writes a student's page and text; feedback_model: their content as plain values
feedback_page, feedback_text   that content as HTML and as text
wording, sections, printed     fixed wording, links into the lab, the cells' output
exchange         feedback through nbgrader's exchange
export           marks as CSV
pages            HTML pages in one file, without scripts
"""
