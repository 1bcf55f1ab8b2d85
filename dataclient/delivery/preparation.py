"""What has to be done to rows before they are the features that a delivered model takes, in words."""

from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ArrayPreprocessing,
    Column,
    ImagePreprocessing,
    Number,
    TablePreprocessing,
)

MOST_LISTED = 16  # columns or features that are written out


def preparation(document: AnyPreprocessing | None) -> list[str]:
    """Lines of Markdown. The model itself fills in and clips numbers."""
    match document:
        case TablePreprocessing():
            return _of_table(document)
        case ImagePreprocessing():
            return _of_images(document)
        case ArrayPreprocessing(is_channels_last=True):
            return ["The channels come first: of your arrays take `x.transpose(0, 3, 1, 2)`."]
    return ["No value may be missing."]


def number_features(document: AnyPreprocessing | None) -> list[Number | None]:
    """For every feature the number that it is, or None: what the model itself can fill in and clip."""
    if not isinstance(document, TablePreprocessing):
        return []
    numbers = {column.name: column for column in document.columns if isinstance(column, Number)}
    return [numbers.get(name) for name in document.features]


def _of_table(document: TablePreprocessing) -> list[str]:
    features = number_features(document)
    is_filled = any(number is not None and number.fill is not None for number in features)
    gaps = "No value may be missing, but for numbers (NaN)" if is_filled else "No value may be missing"
    gaps += ": the model fills in the usual one." if is_filled else "."
    columns = document.columns
    if all(isinstance(column, Number) and not column.offset and not column.has_indicator for column in columns):
        return [gaps]
    shown = [f"| {cell(column.name)} | {_becomes(column)} |" for column in columns[:MOST_LISTED]]
    more = [f"| ... | {len(columns) - MOST_LISTED} more |"] if len(columns) > MOST_LISTED else []
    return [
        "Columns become features before; `preprocessing` in model.json says it in full, and `pole client predict` does",
        f"it. {gaps} What is not among the features is left out.",
        "",
        "| column | becomes |",
        "| --- | --- |",
        *shown,
        *more,
    ]


def _becomes(column: Column) -> str:
    more = "; and 1 where it is missing, 0 where not" if column.has_indicator else ""
    match column.kind:
        case "number":
            return ("itself" if not column.offset else f"itself less {column.offset}") + more
        case "boolean":
            return f"0 for {cell(column.values[0])}, 1 for {cell(column.values[1])}, 0.5 for anything else{more}"
        case "category":
            values = ", ".join(cell(value) for value in column.values[:MOST_LISTED])
            values += ", ..." if len(column.values) > MOST_LISTED else ""
            if column.encoding == "one_hot":
                return f"a feature for each of {values}: 1 where it is that, else 0{more}"
            return f"its place among {values}, from 0; {len(column.values)} for anything else{more}"
        case "date":
            return f"{', '.join(column.parts)} (days since 1970-01-01, months and days from 1, Monday is 0){more}"


def _of_images(document: ImagePreprocessing) -> list[str]:
    colours = "grey" if document.channels == 1 else "red, green, blue"
    scale = "0 to 255" if document.depth == "byte" else "as in the files"
    size = f"scaled to {document.height} x {document.width}" if document.is_resized else "of that size"
    return [
        f"A picture is turned upright, laid on grey {document.background} where it is transparent, and {size}",
        f"(height x width); its channels are {colours}, {scale}.",
    ]


def cell(text: str) -> str:
    """Any text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
