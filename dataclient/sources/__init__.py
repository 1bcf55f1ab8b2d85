"""Rows from what people have: tables, arrays, images, data sets that libraries ship."""
