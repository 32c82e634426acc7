"""The report's pictures as inline SVG: small, sharp in print, light and dark by the page's colours.

Every function returns finished markup. Shapes carry classes, never colours, so that `report.css`
decides how they look; coordinates are rounded, so equal numbers give equal bytes. What differs in
colour differs in form as well: a page printed in black and white says the same.

Shape:
    a histogram has n counts and n + 1 edges; a matrix is a list of rows; all lengths are checked
    by whoever wrote plots.json, and anything malformed raises ValueError, TypeError or KeyError.
"""
