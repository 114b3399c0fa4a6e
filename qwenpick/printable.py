"""Makes text safe to show: the one door through which foreign text reaches a terminal.

Files, hubs, models and sessions may hold control characters that move the cursor, set the title,
write the clipboard or reverse the reading direction. Colour and cursor codes are this project's
alone, so no text of others may hold any.
"""

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F)
"""Marks, embeddings, overrides and isolates of direction (Unicode, UAX 9)."""
UNSAFE = {
    code: None
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *_BIDI, *range(0xD800, 0xE000))
    if chr(code) not in "\n\t"
}
"""C0 with ESC and CR, DEL, C1, the line separators, and halves of characters."""


def printable(text: str) -> str:
    """Leave out what would drive a terminal; newlines and tabs stay."""
    return text if text.isascii() and text.isprintable() else text.translate(UNSAFE)
