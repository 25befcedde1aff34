"""The report of a compiled model: one HTML page that needs nothing else, no script, no font, no network.

`facts` collects what there is to say, `page` draws it with the templates beside it.
"""
