"""Loading rows from tables, arrays, images, and data sets that come with libraries."""
