/**
 * Text of strangers, such as keys, values and names, as it may be shown: control characters could move the cursor,
 * change what a terminal shows, or forge a line or column of output.
 */

/** Characters of the categories C0, C1 and DEL, those that turn the direction of text, and the two line separators. */
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
// oxlint-disable-next-line no-control-regex
const controlOrBackslash = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\\]/g

const named: Readonly<Record<string, string>> = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" }

/** A character as the escape that JSON has for it. */
export const unicode = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

const escaped = (character: string): string => named[character] ?? unicode(character)

/** `text` on one line, for people: control characters are written as escapes. */
export const printable = (text: string): string => text.replace(control, escaped)

/** Like {@link printable}, but lines stay lines, and tabs tabs. */
export const printableLines = (text: string): string =>
  text.replace(control, (character) => character === "\n" || character === "\t" ? character : escaped(character))

/** A cell of tab-separated output. Backslashes are escaped as well, so that a program can take the escapes back. */
export const cell = (text: string): string => text.replace(controlOrBackslash, escaped)

/** JSON on one line. JSON itself leaves DEL, C1 and the direction of text as they are. */
export const printableJson = (value: unknown): string => JSON.stringify(value).replace(control, unicode)
